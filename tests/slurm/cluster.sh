#!/usr/bin/env bash
# A Slurm of one node, for tests: controller and node daemon on this machine, everything they write in one folder.
#
#   cluster.sh start DIR   starts it and waits until the node is idle; prints the path for $SLURM_CONF.
#                          Does nothing more where the one in DIR is up.
#   cluster.sh stop DIR    ends its jobs and its daemons; does nothing where there are none.
#
# Needs root and Debian's `slurm-wlm` and `munge`. Exit status 3: they are not installed, or this is not root.
set -euo pipefail

usage() { echo "usage: cluster.sh start|stop DIR" >&2; exit 2; }
[ $# -eq 2 ] || usage
DIR=$(mkdir -p "$2" && cd "$2" && pwd)
PATH="$PATH:/usr/sbin:/sbin"
export SLURM_CONF="$DIR/slurm.conf"

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'
}

# Whether the daemon whose pid is in the file is still that daemon.
runs() {  # runs NAME PIDFILE
    [ -s "$2" ] && [ "$(cat "/proc/$(cat "$2")/comm" 2>/dev/null)" = "$1" ]
}

end() {  # end NAME PIDFILE
    if runs "$1" "$2"; then
        local pid; pid=$(cat "$2")
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 20); do  # what it would save by then is not wanted
            [ -d "/proc/$pid" ] || break
            sleep 0.05
        done
        kill -9 "$pid" 2>/dev/null || true
    fi
    rm -f "$2"
}

idle() { [ "$(sinfo -h -p low -o %T 2>/dev/null)" = idle ]; }

write_configuration() {
    local node memory
    node=$(hostname -s)
    memory=$(( $(awk '/^MemTotal/ {print $2}' /proc/meminfo) / 1024 - 64 ))
    mkdir -p "$DIR/state" "$DIR/spool"
    cat > "$SLURM_CONF" <<END
ClusterName=finetui
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
SlurmdUser=root
# cred_expire: a requeued job may begin again after 5 seconds instead of after two minutes.
AuthType=auth/munge
AuthInfo=socket=$DIR/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool
SlurmctldPidFile=$DIR/slurmctld.pid
SlurmdPidFile=$DIR/slurmd.pid
SlurmctldLogFile=$DIR/slurmctld.log
SlurmdLogFile=$DIR/slurmd.log
# No control groups: this runs in containers, too.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=5
ReturnToService=2
EnforcePartLimits=ALL
# Four processors, however many there are: some tests have two jobs at once.
SlurmdParameters=config_overrides
NodeName=$node NodeAddr=127.0.0.1 CPUs=4 RealMemory=$memory State=UNKNOWN
PartitionName=low Nodes=$node Default=YES MaxTime=1:00:00 PriorityTier=1 State=UP
PartitionName=high Nodes=$node MaxTime=1:00:00 PriorityTier=10 State=UP
END
}

start() {
    if runs slurmctld "$DIR/slurmctld.pid" && runs slurmd "$DIR/slurmd.pid"; then
        echo "$SLURM_CONF"
        return
    fi
    if [ "$(id -u)" != 0 ]; then
        echo "only root can start a Slurm here" >&2
        exit 3
    fi
    for program in munged slurmctld slurmd sbatch; do
        if ! command -v "$program" >/dev/null; then
            echo "$program is not installed (apt-get install slurm-wlm munge)" >&2
            exit 3
        fi
    done
    stop
    chmod 755 "$DIR"
    write_configuration
    [ -s "$DIR/munge.key" ] || head -c 1024 /dev/urandom > "$DIR/munge.key"
    chmod 600 "$DIR/munge.key"
    munged --force --key-file="$DIR/munge.key" --socket="$DIR/munge.socket" --pid-file="$DIR/munged.pid" \
        --log-file="$DIR/munged.log" --seed-file="$DIR/munge.seed"
    slurmctld -c
    slurmd
    for _ in $(seq 400); do
        if idle; then
            echo "$SLURM_CONF"
            return
        fi
        sleep 0.05
    done
    echo "Slurm did not come up:" >&2
    tail -n 5 "$DIR/slurmctld.log" "$DIR/slurmd.log" "$DIR/munged.log" >&2 || true
    stop
    exit 1
}

stop() {
    if runs slurmctld "$DIR/slurmctld.pid"; then
        timeout 5 scancel --signal=KILL --full --user="$(id -un)" >/dev/null 2>&1 || true
        timeout 5 scancel --user="$(id -un)" >/dev/null 2>&1 || true
    fi
    end slurmd "$DIR/slurmd.pid"
    end slurmctld "$DIR/slurmctld.pid"
    end munged "$DIR/munged.pid"
}

case "$1" in
    start) start ;;
    stop) stop ;;
    *) usage ;;
esac
