%% Echo over gen_tcp, four-byte lengths before each message (packet 4): a process per connection.
%%   escript echo.erl serve ADDRESS PORT          escript echo.erl use ADDRESS PORT MARKER
-mode(compile).
-export([main/1]).

main(["serve", Address, Port]) ->
    {ok, Ip} = inet:parse_address(Address),
    {ok, Listener} = gen_tcp:listen(list_to_integer(Port), [binary, {ip, Ip}, {packet, 4}, {active, false},
                                                           {reuseaddr, true}, {backlog, 64}]),
    accept(Listener);
main(["use", Address, Port, Marker]) ->
    Self = self(),
    Bodies = [list_to_binary(Marker), <<"x">>, crypto_free_bytes(5000000)],
    Pids = [spawn_link(fun() -> one(Address, list_to_integer(Port), Bodies), Self ! {done, self()} end)
            || _ <- lists:seq(1, 8)],
    [receive {done, Pid} -> ok after 40000 -> halt(1) end || Pid <- Pids],
    io:format("all came back~n").

crypto_free_bytes(Size) ->
    << <<(X * X rem 251)>> || X <- lists:seq(1, Size) >>.

accept(Listener) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    Pid = spawn(fun() -> receive go -> inet:setopts(Socket, [{active, once}]), echo(Socket) end end),
    ok = gen_tcp:controlling_process(Socket, Pid),
    Pid ! go,
    accept(Listener).

echo(Socket) ->
    receive
        {tcp, Socket, Data} ->
            ok = gen_tcp:send(Socket, Data),
            inet:setopts(Socket, [{active, once}]),
            echo(Socket);
        {tcp_closed, Socket} -> ok;
        {tcp_error, Socket, Reason} -> io:format("error ~p~n", [Reason])
    end.

one(Address, Port, Bodies) ->
    {ok, Socket} = gen_tcp:connect(Address, Port, [binary, {packet, 4}, {active, false}], 20000),
    [begin
         ok = gen_tcp:send(Socket, Body),
         {ok, Body} = gen_tcp:recv(Socket, 0, 20000)
     end || Body <- Bodies],
    ok = gen_tcp:close(Socket).
