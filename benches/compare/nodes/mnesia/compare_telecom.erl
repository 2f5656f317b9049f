%% The telecom workload: a register of subscribers and their sessions, five kinds of transactions.
-module(compare_telecom).
-export([create/1, fill/1, run/1, sum/0]).

-import(compare_loop, [random/1]).

-define(GROUPS, 5).
-define(SUFFIXES, 100).
-define(DETAILS, <<4711:16000>>).
-define(SERVER, 0).
-define(BIT, 1).

create(Command) ->
    Type = compare_node:copy_type(Command),
    [compare_tables:create(Table, Type, [{attributes, Attributes}]) || {Table, Attributes} <- [
        {subscriber, [number, name, group, location, active, changed_by, changed_time]},
        {group, [number, name, allow_read, allow_insert, allow_delete]},
        {server, [server_and_suffix, name, reads, inserts, deletes]},
        {session, [subscriber_and_server, details]}]].

fill(Command) ->
    Subscribers = compare_node:number("records", Command),
    ok = mnesia:activity(sync_dirty, fun() ->
        %% One server only: its bit is set in nine of ten groups; never in none, so that sessions are made.
        Mask = fun(G) -> case G =:= 0 orelse random(100) < 90 of true -> ?BIT; false -> 0 end end,
        [begin M = Mask(G), mnesia:write({group, G, <<"group">>, M, M, M}) end || G <- lists:seq(0, ?GROUPS - 1)],
        [mnesia:write({server, {?SERVER, X}, <<"server">>, 0, 0, 0}) || X <- lists:seq(0, ?SUFFIXES - 1)],
        [mnesia:write({subscriber, N, <<"s">>, random(?GROUPS), 0, 0, <<>>, <<>>}) || N <- lists:seq(0, Subscribers - 1)],
        ok
    end).

%% A caller's state: the sessions that it has made.
run(Command) ->
    Subscribers = compare_node:number("records", Command),
    compare_loop:timed(Command, fun(_) -> [] end, fun(Own) -> call(random(100), random(Subscribers), Own) end).

call(R, N, Own) when R < 25 ->
    {atomic, ok} = mnesia:transaction(fun() ->
        [Subscriber] = mnesia:read(subscriber, N, write),
        Located = setelement(5, Subscriber, 4711),
        mnesia:write(subscriber, setelement(8, setelement(7, Located, <<4711:200>>), <<4711:200>>), write)
    end),
    Own;
call(R, N, Own) when R < 50 ->
    [_] = mnesia:sync_dirty(fun() -> mnesia:read(subscriber, N, read) end),
    Own;
call(R, N, Own) when R < 70 ->
    {atomic, _} = mnesia:transaction(fun() -> read_details(first(Own, N)) end),
    Own;
call(R, N, Own) when R < 85 ->
    case mnesia:transaction(fun() -> create_session(N, random(100) < 2) end) of
        {atomic, true} -> [N | Own];
        _ -> Own
    end;
call(_, N, Own) ->
    Known = first(Own, N),
    case mnesia:transaction(fun() -> delete_session(Known, random(100) < 2) end) of
        {atomic, true} when Own =/= [] -> tl(Own);
        {atomic, false} when Own =/= [] -> tl(Own);
        _ -> Own
    end.

first([Known | _], _) -> Known;
first([], Any) -> Any.

read_details(N) ->
    [Subscriber] = mnesia:read(subscriber, N, read),
    [Group] = mnesia:dirty_read(group, element(4, Subscriber)),
    case element(4, Group) band element(6, Subscriber) band ?BIT of
        0 -> none;
        _ -> [_] = mnesia:read(session, {N, ?SERVER}, read), count(N, 4)
    end.

create_session(N, Rollback) ->
    [Subscriber] = mnesia:read(subscriber, N, write),
    [Group] = mnesia:dirty_read(group, element(4, Subscriber)),
    case {element(5, Group) band ?BIT, element(6, Subscriber) band ?BIT} of
        {?BIT, 0} ->
            mnesia:write(session, {session, {N, ?SERVER}, ?DETAILS}, write),
            mnesia:write(subscriber, setelement(6, Subscriber, element(6, Subscriber) bor ?BIT), write),
            count(N, 5),
            roll_back(Rollback);
        _ ->
            false
    end.

delete_session(N, Rollback) ->
    [Subscriber] = mnesia:read(subscriber, N, write),
    [Group] = mnesia:dirty_read(group, element(4, Subscriber)),
    case {element(6, Group) band ?BIT, element(6, Subscriber) band ?BIT} of
        {?BIT, ?BIT} ->
            mnesia:delete(session, {N, ?SERVER}, write),
            mnesia:write(subscriber, setelement(6, Subscriber, element(6, Subscriber) bxor ?BIT), write),
            count(N, 6),
            roll_back(Rollback);
        _ ->
            false
    end.

count(N, Position) ->
    Key = {?SERVER, N rem ?SUFFIXES},
    [Server] = mnesia:read(server, Key, write),
    mnesia:write(server, setelement(Position, Server, element(Position, Server) + 1), write).

roll_back(true) -> mnesia:abort(rollback);
roll_back(false) -> true.

%% 0 if the sessions are as many as the bits, and as made and not ended.
sum() ->
    Sum = fun(Table, Value) -> ets:foldl(fun(Record, Sum) -> Value(Record) + Sum end, 0, Table) end,
    Sessions = mnesia:table_info(session, size),
    Sessions = Sum(subscriber, fun(Record) -> element(6, Record) end),
    Sessions = Sum(server, fun(Record) -> element(5, Record) - element(6, Record) end),
    0.
