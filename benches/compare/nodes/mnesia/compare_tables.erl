%% Tables of items: created on all running nodes, filled in batches.
-module(compare_tables).
-export([create/1, create/3, fill/1, key/1, ordered_key/1, prefix_key/1, value/2]).

-define(FILL, <<"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv">>).
-define(BATCH, 1000).

create(#{"table" := Name} = Command) ->
    Table = list_to_atom(Name),
    create(Table, compare_node:copy_type(Command), options(Table)).

create(Table, Type, Options) ->
    Nodes = mnesia:system_info(running_db_nodes),
    {atomic, ok} = mnesia:create_table(Table, [{Type, Nodes} | Options]).

options(ordered_item) -> [{type, ordered_set}, {attributes, [key, value]}];
options(prefix_item) -> [{type, ordered_set}, {attributes, [key, value]}];
options(bag_item) -> [{type, bag}, {attributes, [key, value]}];
options(indexed_item) -> [{attributes, [key, group, value]}, {index, [group]}];
options(_) -> [{attributes, [key, value]}].

fill(#{"table" := Name} = Command) ->
    fill(list_to_atom(Name), 0, compare_node:number("records", Command)).

fill(_, From, Records) when From >= Records ->
    ok;
fill(Table, From, Records) ->
    To = min(From + ?BATCH, Records),
    Write = fun() -> [mnesia:write(Table, record(Table, N), write) || N <- lists:seq(From, To - 1)], ok end,
    ok = mnesia:activity(sync_dirty, Write),
    fill(Table, To, Records).

record(ordered_item, N) -> {ordered_item, ordered_key(N), value(N, 0)};
record(prefix_item, N) -> {prefix_item, prefix_key(N), value(N, 0)};
record(bag_item, N) -> {bag_item, key(N div 10), value(N rem 10, 0)};
record(indexed_item, N) -> {indexed_item, key(N), N div 10, value(N, 0)};
record(Table, N) -> {Table, key(N), value(N, 0)}.

%% 16 bytes, neighbours far apart.
key(N) -> <<((N * 16#9E3779B97F4A7C15) band 16#ffffffffffffffff):64, N:64>>.
ordered_key(N) -> <<0:64, N:64>>.
%% Keys of which ets can find all with one first element without looking at the others.
prefix_key(N) -> {N div 1000, N}.
value(N, Stamp) -> <<N:64, Stamp:64, ?FILL/binary>>.
