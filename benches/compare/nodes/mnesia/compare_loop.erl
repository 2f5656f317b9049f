%% Callers in a closed loop, as in src/callers.rs: calls that are timed one by one, and short ones that are counted.
-module(compare_loop).
-export([timed/3, counted/3, random/1]).

-define(WARM_UP_NS, 200000000).
-define(CHUNK, 64).

%% Callers call Call(State) -> State. {PerSecond, P50Micros, P99Micros, Restarts}
timed(Command, Init, Call) ->
    Length = length_ns(Command),
    Before = mnesia:system_info(transaction_restarts),
    CountFrom = erlang:monotonic_time(nanosecond) + ?WARM_UP_NS,
    Until = CountFrom + Length,
    Nanos = lists:append(callers(Command, fun(I) -> timed_until(Call, Init(I), CountFrom, Until, []) end)),
    Sorted = list_to_tuple(lists:sort(Nanos)),
    Restarts = mnesia:system_info(transaction_restarts) - Before,
    {length(Nanos) / (Length / 1.0e9), quantile(Sorted, 0.5), quantile(Sorted, 0.99), Restarts}.

timed_until(Call, State, CountFrom, Until, Nanos) ->
    Began = erlang:monotonic_time(nanosecond),
    if
        Began >= Until ->
            Nanos;
        true ->
            Next = Call(State),
            Ended = erlang:monotonic_time(nanosecond),
            Counts = Began >= CountFrom andalso Ended =< Until,
            timed_until(Call, Next, CountFrom, Until, if Counts -> [Ended - Began | Nanos]; true -> Nanos end)
    end.

%% Callers call Call(Turn); turns count up.
counted(Command, Init, Call) ->
    Length = length_ns(Command),
    Rates = callers(Command, fun(I) ->
        State = Init(I),
        Turn = count_until(Call, State, erlang:monotonic_time(nanosecond) + ?WARM_UP_NS, 0),
        Began = erlang:monotonic_time(nanosecond),
        Turns = count_until(Call, State, Began + Length, Turn) - Turn,
        Turns / ((erlang:monotonic_time(nanosecond) - Began) / 1.0e9)
    end),
    {float(lists:sum(Rates)), 0.0, 0.0, 0}.

count_until(Call, State, Until, Turn) ->
    chunk(?CHUNK, Call, State, Turn),
    case erlang:monotonic_time(nanosecond) >= Until of
        true -> Turn + ?CHUNK;
        false -> count_until(Call, State, Until, Turn + ?CHUNK)
    end.

chunk(0, _, _, _) -> ok;
chunk(Left, Call, State, Turn) ->
    Call(State, Turn),
    chunk(Left - 1, Call, State, Turn + 1).

callers(Command, Run) ->
    Me = self(),
    Pids = [spawn_link(fun() -> Me ! {self(), Run(I)} end) || I <- lists:seq(1, compare_node:number("callers", Command))],
    [receive {Pid, Result} -> Result end || Pid <- Pids].

length_ns(#{"seconds" := Text}) ->
    Seconds = try list_to_float(Text) catch error:badarg -> float(list_to_integer(Text)) end,
    round(Seconds * 1.0e9).

quantile({}, _) -> 0.0;
quantile(Sorted, Q) -> element(max(1, round(tuple_size(Sorted) * Q)), Sorted) / 1000.0.

%% A random number below N.
random(N) -> rand:uniform(N) - 1.
