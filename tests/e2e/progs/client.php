<?php
// Client of the echo servers by stream_socket_client. client.php ADDRESS PORT MARKER
$peer = stream_socket_client("tcp://{$argv[1]}:{$argv[2]}", $number, $text, 20) or exit("$text\n");
foreach ([$argv[3], 'x', random_bytes(200000)] as $body) {
    fwrite($peer, strlen($body) . "\n" . $body);
    $back = '';
    while (strlen($back) < strlen($body) && !feof($peer)) {
        $read = [$peer];
        $none = null;
        stream_select($read, $none, $none, 20) or exit("nothing came\n");
        $back .= fread($peer, 65536);
    }
    $back === $body or exit("something else came back\n");
}
echo "all came back\n";
