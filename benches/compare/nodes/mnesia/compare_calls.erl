%% What the callers call.
-module(compare_calls).
-export([run/2]).

-import(compare_tables, [key/1, ordered_key/1, value/2]).
-import(compare_loop, [random/1]).

%% As many keys as in src/workload.rs.
-define(KEYS, 262144).
-define(RANGE, 1000).

run("write", Command) ->
    Records = records(Command),
    compare_loop:timed(Command, fun(_) -> 0 end, fun(Stamp) ->
        N = random(Records),
        {atomic, ok} = mnesia:transaction(fun() -> mnesia:write(item, {item, key(N), value(N, Stamp)}, write) end),
        Stamp + 1
    end);
run("rmw", Command) ->
    Records = records(Command),
    compare_loop:timed(Command, fun(_) -> 0 end, fun(State) ->
        Key = key(random(Records)),
        {atomic, ok} = mnesia:transaction(fun() ->
            [{item, _, <<First, Rest/binary>>}] = mnesia:read(item, Key, write),
            mnesia:write(item, {item, Key, <<(First + 1), Rest/binary>>}, write)
        end),
        State
    end);
run("read", Command) ->
    Keys = keys(Command, fun compare_tables:key/1),
    compare_loop:counted(Command, fun(_) -> ok end, fun(_, Turn) ->
        [_] = mnesia:dirty_read(item, element(Turn rem ?KEYS + 1, persistent_term:get(Keys)))
    end);
run("range", #{"form" := "prefix"} = Command) ->
    Groups = records(Command) div ?RANGE,
    compare_loop:counted(Command, fun(_) -> ok end, fun(_, _) ->
        Group = random(Groups),
        ?RANGE = length(mnesia:dirty_select(prefix_item, [{{prefix_item, {Group, '_'}, '_'}, [], ['$_']}]))
    end);
run("range", Command) ->
    Starts = records(Command) - ?RANGE,
    compare_loop:counted(Command, fun(_) -> ok end, fun(_, _) -> walk(ordered_key(random(Starts)), ?RANGE) end);
run("bag-insert", Command) ->
    Records = records(Command),
    compare_loop:timed(Command, fun(I) -> I end, fun(Next) ->
        Record = {bag_item, key(random(Records) div 10), value(Next rem 10, 0)},
        {atomic, ok} = mnesia:transaction(fun() -> mnesia:write(bag_item, Record, write) end),
        Next + 1
    end);
run("bag-read", Command) ->
    Keys = keys(Command, fun(N) -> key(N div 10) end),
    compare_loop:counted(Command, fun(_) -> ok end, fun(_, Turn) ->
        10 = length(mnesia:dirty_read(bag_item, element(Turn rem ?KEYS + 1, persistent_term:get(Keys))))
    end);
run("index-read", Command) ->
    Groups = records(Command) div 10,
    compare_loop:counted(Command, fun(_) -> ok end, fun(_, _) ->
        10 = length(mnesia:dirty_index_read(indexed_item, random(Groups), group))
    end).

walk(_, 0) -> ok;
walk(Key, Left) ->
    [_] = mnesia:dirty_read(ordered_item, Key),
    walk(mnesia:dirty_next(ordered_item, Key), Left - 1).

records(Command) -> compare_node:number("records", Command).

%% Keys made beforehand, so that making them is not measured; where no caller copies or collects them.
keys(Command, Make) ->
    Records = records(Command),
    Keys = list_to_tuple([Make(random(Records)) || _ <- lists:seq(1, ?KEYS)]),
    persistent_term:put(keys, Keys),
    keys.
