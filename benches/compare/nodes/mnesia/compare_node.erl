%% One Mnesia node of the comparison: commands from standard input, replies to standard output, one line each, as in
%% src/line.rs. It ends when its standard input does.
-module(compare_node).
-export([main/0, number/2, copy_type/1]).

main() ->
    io:format("started address=~s~n", [node()]),
    loop().

loop() ->
    case io:get_line("") of
        Line when is_list(Line) ->
            [Verb | Fields] = string:lexemes(string:trim(Line), " "),
            Command = maps:from_list([list_to_tuple(string:split(Field, "=")) || Field <- Fields]),
            io:format("~s~n", [answer(Verb, Command)]),
            case Verb of "stop" -> halt(0); _ -> loop() end;
        _ ->
            halt(0)
    end.

answer(Verb, Command) ->
    Began = erlang:monotonic_time(microsecond),
    try serve(Verb, Command) of
        done ->
            Seconds = (erlang:monotonic_time(microsecond) - Began) / 1.0e6,
            io_lib:format("done seconds=~.6f", [Seconds]);
        Reply ->
            Reply
    catch
        Class:Reason:Stack ->
            What = io_lib:format("~p ~p ~p", [Class, Reason, hd(Stack)]),
            ["failed ", [case C of $\n -> $\s; _ -> C end || C <- lists:flatten(What)]]
    end.

%% A schema on the discs of all nodes, and Mnesia started on them.
serve("form", #{"nodes" := Names}) ->
    Nodes = [list_to_atom(Name) || Name <- string:lexemes(Names, ",")],
    [pong = net_adm:ping(Node) || Node <- Nodes],
    ok = mnesia:create_schema(Nodes),
    [ok = rpc:call(Node, mnesia, start, []) || Node <- Nodes],
    done;
%% Mnesia has no leader: callers run on the first node.
serve("status", _) ->
    io_lib:format("status leader=~w", [hd(lists:sort(mnesia:system_info(db_nodes))) =:= node()]);
serve("create", Command) ->
    (tables(Command)):create(Command),
    done;
serve("fill", Command) ->
    (tables(Command)):fill(Command),
    done;
serve("wait", #{"table" := Table}) when Table =:= "tpcb"; Table =:= "telecom" ->
    ok = mnesia:wait_for_tables(mnesia:system_info(tables), 120000),
    done;
serve("check", Command) ->
    io_lib:format("checked sum=~w", [(tables(Command)):sum()]);
serve("wait", #{"table" := Table} = Command) ->
    ok = mnesia:wait_for_tables([list_to_atom(Table)], 120000),
    true = mnesia:table_info(list_to_atom(Table), size) >= number("records", Command),
    done;
serve("resume", _) ->
    ok = mnesia:start(),
    done;
%% A copy of a table that another node has. Making the nodes known to each other is not part of the time.
serve("copy", #{"peer" := Peer, "table" := Name} = Command) ->
    ok = mnesia:start(),
    {ok, [_]} = mnesia:change_config(extra_db_nodes, [list_to_atom(Peer)]),
    _ = mnesia:change_table_copy_type(schema, node(), disc_copies),
    Table = list_to_atom(Name),
    {Micros, {atomic, ok}} =
        timer:tc(fun() -> mnesia:add_table_copy(Table, node(), copy_type(Command)) end),
    io_lib:format("done seconds=~.6f", [Micros / 1.0e6]);
serve("drop-copy", #{"table" := Name}) ->
    {atomic, ok} = mnesia:del_table_copy(list_to_atom(Name), node()),
    done;
serve("stop", _) ->
    _ = mnesia:stop(),
    done;
serve(Verb, Command) when Verb =:= "tpcb"; Verb =:= "telecom" ->
    figures((tables(Command)):run(Command));
serve(Verb, Command) ->
    figures(compare_calls:run(Verb, Command)).

%% The module that knows the table.
tables(#{"table" := "tpcb"}) -> compare_tpcb;
tables(#{"table" := "telecom"}) -> compare_telecom;
tables(_) -> compare_tables.

figures({Rate, P50, P99, Restarts}) ->
    io_lib:format("figures rate=~.3f p50=~.3f p99=~.3f restarts=~w", [Rate, P50, P99, Restarts]).

number(Name, Command) ->
    list_to_integer(maps:get(Name, Command)).

copy_type(#{"copy" := "disc"}) -> disc_copies;
copy_type(_) -> ram_copies.
