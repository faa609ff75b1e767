#!/bin/sh
# Two ranks in network namespaces of their own, which a virtual cable joins: all that goes between them is TCP. Skipped (77)
# where that is not allowed. usage: two_networks.sh MPIRUN PROGRAM
set -u
a=xtape-a-$$ b=xtape-b-$$
end() {
  ip netns del $a
  ip netns del $b
  [ -z "${agent:-}" ] || rm -f "$agent"
} 2>/dev/null
trap end EXIT
{ ip netns add $a && ip netns add $b && ip link add xtape-a netns $a type veth peer name xtape-b netns $b; } 2>/dev/null || {
  echo "no network namespaces here"
  exit 77
}
for end in "$a xtape-a 1" "$b xtape-b 2"; do
  ns=${end%% *} rest=${end#* } # rest: the cable's end, and the last number of its address
  ip -n "$ns" address add 10.77.0."${rest#* }"/24 dev "${rest% *}" && ip -n "$ns" link set "${rest% *}" up &&
    ip -n "$ns" link set lo up || exit 1
done
# What MPI calls in place of ssh: the host, then the command.
agent=$(mktemp)
cat >"$agent" <<END
#!/bin/sh
while [ "\${1#-}" != "\$1" ]; do shift; done
shift
exec ip netns exec $b sh -c "\$*"
END
chmod +x "$agent"
ip netns exec $a "$1" --mca plm_rsh_agent "$agent" --mca btl tcp,self --mca oob_tcp_if_include 10.77.0.0/24 \
  --mca btl_tcp_if_include 10.77.0.0/24 --host 10.77.0.1,10.77.0.2 -np 2 "$2"
