%% TPC-B: every transaction changes a branch, one of its tellers and an account, and notes it in a history. All
%% balances begin at 0, so all sums are equal at any moment.
-module(compare_tpcb).
-export([create/1, fill/1, run/1, sum/0]).

-import(compare_loop, [random/1]).
-import(compare_node, [number/2]).

-define(FILLER, <<"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff">>).
-define(TELLERS, 10).
-define(AMOUNT_MAX, 999999).

create(Command) ->
    Type = compare_node:copy_type(Command),
    [compare_tables:create(Table, Type, [{attributes, Attributes}]) || {Table, Attributes} <- [
        {branch, [number, balance, filler]},
        {teller, [number, branch, balance, filler]},
        {account, [number, branch, balance, filler]},
        {history, [driver_and_sequence, branch, teller, account, amount]}]].

fill(Command) ->
    {Branches, Accounts} = scale(Command),
    each(Branches, fun(N) -> {branch, N, 0, ?FILLER} end),
    each(Branches * ?TELLERS, fun(N) -> {teller, N, N div ?TELLERS, 0, ?FILLER} end),
    each(Branches * Accounts, fun(N) -> {account, N, N div Accounts, 0, ?FILLER} end).

each(Count, Make) ->
    ok = mnesia:activity(sync_dirty, fun() -> [mnesia:write(Make(N)) || N <- lists:seq(0, Count - 1)], ok end).

%% Records are locked for writing when they are read, as in Mnesia's own program.
run(Command) ->
    Scale = scale(Command),
    First = number("first", Command),
    compare_loop:timed(Command, fun(I) -> {First + I, 0} end, fun({Driver, Sequence}) ->
        transact(Driver, Sequence, Scale),
        {Driver, Sequence + 1}
    end).

transact(Driver, Sequence, {Branches, Accounts}) ->
    T = random(Branches * ?TELLERS),
    B = T div ?TELLERS,
    Of = case Branches > 1 andalso random(100) < 15 of
        true -> (B + 1 + random(Branches - 1)) rem Branches;
        false -> B
    end,
    A = Of * Accounts + random(Accounts),
    Amount = random(2 * ?AMOUNT_MAX + 1) - ?AMOUNT_MAX,
    {atomic, ok} = mnesia:transaction(fun() ->
        [{branch, _, BranchBalance, BranchFiller}] = mnesia:read(branch, B, write),
        mnesia:write(branch, {branch, B, BranchBalance + Amount, BranchFiller}, write),
        [{teller, _, TellerBranch, TellerBalance, TellerFiller}] = mnesia:read(teller, T, write),
        mnesia:write(teller, {teller, T, TellerBranch, TellerBalance + Amount, TellerFiller}, write),
        [{account, _, AccountBranch, AccountBalance, AccountFiller}] = mnesia:read(account, A, write),
        mnesia:write(account, {account, A, AccountBranch, AccountBalance + Amount, AccountFiller}, write),
        mnesia:write(history, {history, {Driver, Sequence}, B, T, A, Amount}, write)
    end).

%% The sum of all balances of this node's copies; they differ from each other only if something is wrong.
sum() ->
    Sums = [ets:foldl(fun(Record, Sum) -> element(Position, Record) + Sum end, 0, Table)
            || {Table, Position} <- [{branch, 3}, {teller, 4}, {account, 4}, {history, 6}]],
    [Sum] = lists:usort(Sums),
    Sum.

scale(Command) -> {number("branches", Command), number("accounts", Command)}.
