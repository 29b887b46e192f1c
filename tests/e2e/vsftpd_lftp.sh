#!/bin/bash
# vsftpd and lftp, passive and active: upload, listing, download. In active mode the server connects and the client accepts.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

head -c 10000000 /dev/urandom >"$T/big"
mkdir -p "$T/ftp/in" "$T/empty"
chmod 777 "$T/ftp/in"
cat >"$T/vsftpd.conf" <<END
listen=YES
listen_address=$IP
listen_port=2121
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root=$T/ftp
anon_upload_enable=YES
anon_umask=022
anon_world_readable_only=NO
write_enable=YES
allow_writeable_chroot=YES
ftpd_banner=$MARK
secure_chroot_dir=$T/empty
pasv_min_port=21000
pasv_max_port=21999
connect_from_port_20=NO
xferlog_enable=NO
END

scenario() {
    # Towards the client's own address, in active mode, the client is a server.
    [ "$WAY" = plain ] || cat >>"$T/mesh.ini" <<-END

		[DestinationRule app/active]
		host = 127.0.0.1
		tls.mode = $([ "$WAY" = strict ] && echo ISTIO_MUTUAL || echo DISABLE)
	END
    serve vsftpd vsftpd "$T/vsftpd.conf"
    wait_listen vsftpd 2121
    local passive
    for passive in on off; do
        client lftp -e "set net:max-retries 2; set net:timeout 10; set ftp:ssl-allow no; set ftp:passive-mode $passive; set net:reconnect-interval-base 1;
            open -p 2121 $IP; cd in; put $T/big -o $WAY-$passive; ls; get $WAY-$passive -o $T/back-$WAY-$passive; exit" >"$T/log/lftp"
        has "$T/log/lftp" "10000000 .*$WAY-$passive"
        cmp "$T/ftp/in/$WAY-$passive" "$T/big"
        cmp "$T/back-$WAY-$passive" "$T/big"
    done
    stop vsftpd
}
three_ways scenario
