%% Processes, ports, files, timers and connections of Erlang's, on its schedulers,
%% its dirty schedulers and its pollers.  Prints what must come out whatever the order
%% in which they ran.  With "wait" it waits for SIGTERM.
-mode(compile).

main(["wait"]) ->
	io:format("ready~n"),
	%% Others compute while the signal comes.
	[spawn(fun() -> forever(0) end) || _ <- lists:seq(1, 4)],
	receive never -> ok end;
main([]) ->
	io:format("ring: ~p~n", [ring(1000, 20000)]),
	io:format("squares: ~p~n", [lists:sum(each(fun(N) -> N * N end, 1000))]),
	io:format("timers: ~p~n", [length(each(fun(N) ->
		receive after N rem 50 -> N end end, 1000))]),
	io:format("ports: ~p~n", [lists:usort(each(fun(_) ->
		os:cmd("echo port") end, 20))]),
	io:format("cat: ~p~n", [lists:sum(each(fun cat/1, 20))]),
	io:format("files: ~p~n", [lists:sum(each(fun file/1, 50))]),
	io:format("echo: ~p~n", [echo(50)]),
	%% Long calls in C, on dirty schedulers.
	io:format("hashes: ~p~n", [length(lists:usort(each(fun(N) ->
		erlang:md5(binary:copy(<<N:32>>, 200000)) end, 8)))]),
	%% All schedulers stop for this.
	erlang:system_flag(multi_scheduling, block),
	erlang:system_flag(multi_scheduling, unblock),
	erlang:system_flag(schedulers_online, 1),
	io:format("alone: ~p~n", [lists:sum(each(fun(N) -> N end, 100))]),
	spawn(fun() -> forever(0) end),
	halt(3).

forever(N) -> forever(N + 1).

%% F(N) by a process for each N.
each(F, Count) ->
	Self = self(),
	Pids = [spawn_link(fun() -> Self ! {self(), F(N)} end)
		|| N <- lists:seq(1, Count)],
	[receive {P, R} -> R end || P <- Pids].

ring(N, Passes) ->
	Self = self(),
	First = lists:foldl(fun(_, Next) -> spawn(fun() -> pass(Next) end) end,
		Self, lists:seq(1, N)),
	turn(First, Passes div N).

pass(Next) -> receive X -> Next ! X + 1, pass(Next) end.

turn(_, 0) -> done;
turn(First, Turns) ->
	First ! 0,
	receive 1000 -> turn(First, Turns - 1) end.

cat(N) ->
	Port = open_port({spawn, "cat"}, [binary, stream]),
	Size = N * 10000,
	true = port_command(Port, binary:copy(<<"x">>, Size)),
	Size = received(Port, 0, Size),
	true = port_close(Port),
	Size.

received(_, Size, Size) -> Size;
received(Port, Got, Size) ->
	receive {Port, {data, B}} -> received(Port, Got + byte_size(B), Size) end.

file(N) ->
	Name = io_lib:format("file~p", [N]),
	ok = file:write_file(Name, binary:copy(<<N>>, 1000 * N)),
	{ok, B} = file:read_file(Name),
	ok = file:delete(Name),
	byte_size(B).

echo(Count) ->
	{ok, L} = gen_tcp:listen(0, [binary, {packet, 2}, {active, false},
		{ip, {127, 0, 0, 1}}, {backlog, 100}]),
	{ok, Port} = inet:port(L),
	spawn_link(fun() -> accepts(L) end),
	lists:sum(each(fun(N) ->
		{ok, S} = gen_tcp:connect({127, 0, 0, 1}, Port,
			[binary, {packet, 2}, {active, false}]),
		ok = gen_tcp:send(S, <<N:32>>),
		{ok, <<R:32>>} = gen_tcp:recv(S, 0),
		ok = gen_tcp:close(S),
		R end, Count)).

accepts(L) ->
	{ok, S} = gen_tcp:accept(L),
	Pid = spawn(fun() ->
		receive go -> ok end,
		{ok, B} = gen_tcp:recv(S, 0),
		ok = gen_tcp:send(S, B)
	end),
	ok = gen_tcp:controlling_process(S, Pid),
	Pid ! go,
	accepts(L).
