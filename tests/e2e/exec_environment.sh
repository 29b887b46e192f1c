#!/bin/bash
# However a program starts another one and whatever environment it makes for it: the object and our variables go along, once,
# other preloads stay, the rest is as the program wanted it. Without a table nothing is added.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mesh STRICT ISTIO_MUTUAL
family=$(program exec_family)
cat >"$T/show.sh" <<'END'
#!/bin/sh
# What this process was started with, and whether the object is really there.
tr '\0' '\n' </proc/$$/environ | grep -E '^(LD_PRELOAD|MTLSWRAP_|OWN)' | sort
grep -q libmtlswrap.so /proc/$$/maps && echo loaded
echo "argument $1"
END
chmod 755 "$T/show.sh"
cp "$T/show.sh" "$T/show-from-path"
mapfile -t words < <(wrapping app/client)
ours=$(printf '%s\n' "${words[@]}" | sort)
calls='execve execv execvp execvpe execl execlp execle fexecve execveat'
takes_own() { [[ $1 =~ (execve|execvpe|execle|fexecve|execveat|posix_spawnp?)$ ]]; }

# A call that takes the environment gives the program's, which has a variable of its own.
for how in $calls posix_spawn posix_spawnp popen system; do
    for way in "$how" "vfork-$how"; do
        [[ $way =~ vfork-(posix_spawnp?|popen|system|fexecve)$ ]] && continue
        want=$ours
        ! takes_own "$how" || want=$(printf '%s\nOWN=yes' "$ours" | sort)
        [ "$how" != fexecve ] || continue # a script needs its descriptor open: below
        seen=$(PATH=$T:$PATH run app/client "$family" "$way" "$T/show.sh" word | grep -E '^(LD_|MTLS|OWN|loaded|argument)') || true
        case $how in
        execvp | execvpe | execlp | posix_spawnp) # found in the PATH that the program set, which does not name it
            seen=$(cd / && run app/client "$family" "$way" "/usr/bin/env" "/usr/bin/env" | grep -E '^(LD_|MTLS|OWN)' | sort)
            equal "$way" "$want" "$seen"
            ;;
        *) equal "$way" "$want"$'\n'"loaded"$'\n'"argument word" "$seen" ;;
        esac
    done
done
equal fexecve "$(printf '%s\nOWN=yes' "$ours" | sort)" \
    "$(run app/client "$family" fexecve /usr/bin/env /usr/bin/env | grep -E '^(LD_|MTLS|OWN)' | sort)"

# Programs that clean up after themselves, and languages that make environments.
equal 'env -i' "$ours" "$(run app/client env -i /usr/bin/env | grep -E '^(LD_|MTLS)' | sort)"
equal 'unset in a shell' "$ours" \
    "$(run app/client bash -c 'unset LD_PRELOAD MTLSWRAP_CONFIG; /usr/bin/env' | grep -E '^(LD_|MTLS)' | sort)"
equal 'python, close_fds and an empty environment' "$ours" "$(run app/client python3 -c '
import subprocess
print(subprocess.run(["/usr/bin/env"], env={}, capture_output=True, text=True, check=True).stdout, end="")' | sort)"
equal 'python os.posix_spawn' "$ours" "$(run app/client python3 -c '
import os
os.waitpid(os.posix_spawn("/usr/bin/env", ["env"], {}), 0)' | sort)"
equal perl "$ours" "$(run app/client perl -e '%ENV = (); exec "/usr/bin/env"' | grep -E '^(LD_|MTLS)' | sort)"
equal 'perl, a pipe' "$ours" "$(run app/client perl -e '%ENV = (); print `/usr/bin/env`' | grep -E '^(LD_|MTLS)' | sort)"

# Another preload stays, behind ours.
other=/lib/x86_64-linux-gnu/libm.so.6
[ -e $other ] || other=$(ldconfig -p | awk '/libm\.so\.6/ { print $NF; exit }')
equal 'another preload' "LD_PRELOAD=$BUILD/libmtlswrap.so:$other" \
    "$(run app/client env -i "LD_PRELOAD=$other" /usr/bin/env | grep '^LD_')"
equal 'named twice' "LD_PRELOAD=$other:$BUILD/libmtlswrap.so" \
    "$(run app/client env -i "LD_PRELOAD=$other:$BUILD/libmtlswrap.so" /usr/bin/env | grep '^LD_')"
equal 'a value of its own' "MTLSWRAP_LOG=debug" "$(run app/client env MTLSWRAP_LOG=debug /usr/bin/env | grep '^MTLSWRAP_LOG=')"

# What a failed start returns is what it returns in the clear.
for how in $calls posix_spawn popen system vfork-execve vfork-execl; do
    for file in /nonexistent/file /etc/passwd /; do
        equal "$how $file" "$(run - "$family" $how $file x 2>&1 || true)" "$(run app/client "$family" $how $file x 2>&1 || true)"
    done
done

equal 'no table' "LD_PRELOAD=" "$(env LD_PRELOAD="$BUILD/libmtlswrap.so" "$family" execve /usr/bin/env /usr/bin/env | grep -E '^(LD_|MTLS)')"
