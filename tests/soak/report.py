# SPDX-License-Identifier: MIT
"""What scripts/soak.sh has seen: a line while it runs, tables and verdicts at its end.

    report.py line DIR
    report.py end DIR WARM_UP RECOVER [SETTLE]    status 1: a verdict is bad

Memory is fitted by one line per process, with an intercept of its own for each life: a restart is no
growth and hides none. WARM_UP seconds of each life are left out. Three things may not grow: RssAnon; the same
without the tables, which are allocated at the start and become memory page by page as they are used;
and what is mapped for data (VmData), in which a leak shows wherever it is. RECOVER is what traffic may take
after a disturbance; drops of the kinds that go with one are counted as its own until SETTLE seconds
after it.
"""
import collections
import glob
import json
import sys

SLOPE_KIB_H = 1024
# What adds up to less cannot be told from what is touched for the first time: a short run finds a fast leak.
GROWTH_KIB = 1024
# All of RssAnon is judged from this length on: until then it has the tables' first pages in it.
ALL_MEMORY_H = 0.5
TCP_RECOVER = 60    # its timer doubles: a blackout is felt for as long again
# What goes with a session, a path or an address that is lost. Anything else is wrong at any time.
EXPECTED = ("hs_", "cookie_", "data_unknown_index", "data_expired_session", "tx_staging_", "tx_no_endpoint",
            "tx_socket_", "stun_", "rx_relay_", "tx_relay_", "rx_control_full", "tx_no_peer")


def lines_of(path):
    try:
        with open(path) as f:
            for line in f:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue    # the last one, half written
    except OSError:
        return


def load(folder):
    samples = list(lines_of(f"{folder}/samples.jsonl"))
    disturbances = list(lines_of(f"{folder}/disturbances.jsonl"))
    traffic = [e for path in sorted(glob.glob(f"{folder}/traffic-*.jsonl")) for e in lines_of(path)]
    return samples, disturbances, traffic


def last_sums(traffic):
    return {e["flow"]: e for e in traffic if e["kind"] == "sum"}


# --- processes --------------------------------------------------------------------------------------

def lives(samples):
    """(node, role) -> pid -> [(t, RssAnon without tables, fds, threads, RssAnon, VmData)]"""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for s in samples:
        for p in s["processes"]:
            found[p["node"], p["role"]][p["pid"]].append(
                (s["t"], p["rss"] - p["tables"], p["fds"], p["threads"], p["rss"], p["data"]))
    return found


def without_warm_up(life, warm_up):
    return [x for x in life if x[0] >= life[0][0] + warm_up]


def slope(many, column):
    """KiB an hour, and how many hours it was fitted over."""
    top = bottom = span = 0.0
    for life in many:
        if len(life) < 3:
            continue
        t_mean = sum(x[0] for x in life) / len(life)
        y_mean = sum(x[column] for x in life) / len(life)
        top += sum((x[0] - t_mean) * (x[column] - y_mean) for x in life)
        bottom += sum((x[0] - t_mean) ** 2 for x in life)
        span += life[-1][0] - life[0][0]
    return (top / bottom * 3600 if bottom else None), span / 3600


def usual(numbers):
    return collections.Counter(numbers).most_common(1)[0][0]


def grew(many, column):
    """(before, after) of the first life whose usual number rose from its first to its last third."""
    for life in many:
        third = len(life) // 3
        if third < 4:
            continue
        first, last = usual([x[column] for x in life[:third]]), usual([x[column] for x in life[-third:]])
        if last > first:
            return first, last
    return None


def processes(samples, warm_up, bad):
    print(f"\n{'process':16} {'lives':>5} {'RssAnon KiB: first .. most, last':>33} {'KiB/h':>6}"
          f" {'but tables':>10} {'KiB/h':>6} {'VmData KiB/h':>12} {'over h':>6} {'descriptors':>11} {'threads':>7}")
    for (node, role), by_pid in sorted(lives(samples).items()):
        name = f"{node} {role}"
        warm = [w for w in (without_warm_up(life, warm_up) for life in by_pid.values()) if w]
        every = [x for life in by_pid.values() for x in life]
        rates = {"all memory": slope(warm, 4), "memory": slope(warm, 1), "mapped data": slope(warm, 5)}
        newest = max(by_pid.values(), key=lambda life: life[-1][0])
        told = ["-" if rate is None else f"{rate:.0f}" for rate, _ in rates.values()]
        print(f"{name:16} {len(by_pid):5} {every[0][4]:13} ..{max(x[4] for x in every):6} {newest[-1][4]:10} {told[0]:>6}"
              f" {newest[-1][1]:10} {told[1]:>6} {told[2]:>12} {rates['memory'][1]:6.2f}"
              f" {usual([x[2] for x in every]):4} ..{max(x[2] for x in every):5} {usual([x[3] for x in every]):7}")
        for what, (rate, hours) in rates.items():
            if what == "all memory" and hours < ALL_MEMORY_H:
                continue
            if rate is not None and rate >= SLOPE_KIB_H and rate * hours >= GROWTH_KIB:
                bad.append(f"{what} of {name} grows by {rate:.0f} KiB an hour")
        for column, what in ((2, "descriptors"), (3, "threads")):
            g = grew(warm, column)
            if g:
                bad.append(f"{what} of {name} grew from {g[0]} to {g[1]}")


# --- sessions ---------------------------------------------------------------------------------------

def cause_of(gap, disturbances, recover):
    """The last disturbance that can have made it, and how long after its end traffic was back."""
    best = None
    for d in disturbances:
        if d["t"] - 2 <= gap["until"] and gap["since"] <= d["until"] + recover:
            best = d
    return best, gap["until"] - best["until"] if best else 0


def sessions(disturbances, traffic, recover, bad):
    worst = collections.defaultdict(lambda: [0, 0.0, 0.0])
    for d in disturbances:
        worst[d["what"]][0] += 1
        if d.get("failed"):
            bad.append(f"{d['what']}: {d['failed']}")
    for e in traffic:
        if e["kind"] == "tcp_reset":
            bad.append(f"{e['flow']}: the TCP connection was lost: {e['why']}")
        if e["kind"] not in ("udp_gap", "tcp_gap"):
            continue
        limit = recover if e["kind"] == "udp_gap" else max(recover, TCP_RECOVER)
        cause, after = cause_of(e, disturbances, limit)
        text = f"{e['flow']}: {e['kind'][:3].upper()} silent for {e['until'] - e['since']:.1f} s"
        if not cause:
            if e["until"] - e["since"] > 3:
                bad.append(f"{text}, and nothing had happened")
            continue
        column = 1 if e["kind"] == "udp_gap" else 2
        worst[cause["what"]][column] = max(worst[cause["what"]][column], e["until"] - e["since"])
        if after > limit:
            bad.append(f"{text}, {after:.1f} s longer than '{cause['what']}'")
    print(f"\n{'disturbance':32} {'times':>5} {'worst gap: UDP s':>17} {'TCP s':>7}")
    for what, (times, udp, tcp) in sorted(worst.items()):
        print(f"{what:32} {times:5} {udp:17.1f} {tcp:7.1f}")
    print(f"\n{'flow':16} {'UDP sent':>9} {'answered':>9} {'lost %':>7} {'wrong':>6} {'twice':>6} {'TCP MiB':>9} {'wrong':>6} {'resets':>6}")
    for flow, s in sorted(last_sums(traffic).items()):
        share = 100 * s["udp_lost"] / max(1, s["udp_sent"])
        print(f"{flow:16} {s['udp_sent']:9} {s['udp_got']:9} {share:7.2f} {s['udp_bad']:6} {s['udp_twice']:6}"
              f" {s['tcp_bytes'] / 2**20:9.1f} {s['tcp_bad']:6} {s['tcp_resets']:6}")
        for what in ("udp_bad", "udp_twice", "tcp_bad"):
            if s[what]:
                bad.append(f"{flow}: {what.replace('_', ' ')}: {s[what]}")
        if not s["udp_got"] or not s["tcp_bytes"]:
            bad.append(f"{flow}: no traffic")
        calm = not disturbances or s["t"] > disturbances[-1]["until"] + recover
        if calm and s["udp_silent"] > recover:
            bad.append(f"{flow}: silent at the end, for {s['udp_silent']:.0f} s")


# --- drops and rekeys -------------------------------------------------------------------------------

def steps(samples):
    """(node, t before, t now, status before or None after a new engine, status now)"""
    before = {}
    for s in samples:
        for node, now in s["status"].items():
            if not now:
                continue
            # what was before the first look is how it started
            t, old = before.get(node, (s["t"], now))
            # another daemon, or engine, counts from nothing
            same = old and old["restarts"] == now["restarts"] and old["uptime"] <= now["uptime"]
            yield node, t, s["t"], old if same else None, now
            before[node] = (s["t"], now)


def is_expected(reason, t0, t1, disturbances, settle):
    near = any(d["t"] - 2 <= t1 and t0 <= d["until"] + settle for d in disturbances)
    return near and reason.startswith(EXPECTED)


def drops(samples, disturbances, settle, bad):
    count = collections.defaultdict(lambda: [0, 0])
    first = {}
    for node, t0, t1, old, now in steps(samples):
        for reason, n in now["drops"].items():
            n -= old["drops"].get(reason, 0) if old else 0
            if n <= 0:
                continue
            wrong = not is_expected(reason, t0, t1, disturbances, settle)
            count[node, reason][wrong] += n
            if wrong:
                first.setdefault((node, reason), t1)
    began = samples[0]["t"] if samples else 0
    print(f"\n{'drops':10} {'reason':26} {'explained':>10} {'not':>8}")
    for (node, reason), (fine, wrong) in sorted(count.items()):
        print(f"{node:10} {reason:26} {fine:10} {wrong:8}")
        if wrong:
            bad.append(f"{node} dropped {wrong} as {reason} without a reason, first after"
                       f" {first[node, reason] - began:.0f} s")


def rekeys(samples):
    total = collections.Counter()
    for node, _, _, old, now in steps(samples):
        had = {p["name"]: p["handshakes"] for p in old["peers"]} if old else {}
        for p in now["peers"]:
            total[node] += max(0, p["handshakes"] - had.get(p["name"], 0))
    return total


# --- what is said -----------------------------------------------------------------------------------

def say_line(folder):
    samples, disturbances, traffic = load(folder)
    sums = last_sums(traffic)
    if not samples or not sums:
        return
    rss = sum(p["rss"] for p in samples[-1]["processes"])
    fds = sum(p["fds"] for p in samples[-1]["processes"])
    flows = " ".join(f"{f} {s['udp_got']}/{s['udp_sent']} {s['tcp_bytes'] / 2**20:.1f}MiB"
                     + (f" silent {s['udp_silent']:.0f}s" if s["udp_silent"] > 1 else "")
                     for f, s in sorted(sums.items()))
    print(f"  {samples[-1]['t'] - samples[0]['t']:6.0f} s  RssAnon {rss} KiB  descriptors {fds}"
          f"  sessions {sum(rekeys(samples).values())}  disturbances {len(disturbances)}  {flows}", flush=True)


def say_end(folder, warm_up, recover, settle):
    samples, disturbances, traffic = load(folder)
    bad = []
    if len(samples) < 2 or not traffic:
        print("  FAIL  it did not run long enough to say anything")
        return 1
    hours = (samples[-1]["t"] - samples[0]["t"]) / 3600
    print(f"\nsoak: {hours * 60:.1f} minutes, {len(samples)} samples, {len(disturbances)} disturbances,"
          f" sessions: {', '.join(f'{n} {c}' for n, c in sorted(rekeys(samples).items()))}")
    groups = (("memory, and mapped data, grow by less than 1 MiB an hour; descriptors and threads are constant",
               lambda b: processes(samples, warm_up, b)),
              (f"no session lost: traffic is back {recover:.0f} s after each disturbance, no TCP reset, every byte right",
               lambda b: sessions(disturbances, traffic, recover, b)),
              ("no drop without a reason", lambda b: drops(samples, disturbances, settle, b)))
    verdicts = []
    for what, look in groups:
        wrong = []
        look(wrong)
        verdicts.append((what, wrong))
    print()
    for what, wrong in verdicts:
        print(f"  {'FAIL' if wrong else 'ok  '}  {what}")
        for line in wrong[:12]:
            print(f"        | {line}")
        bad += wrong
    return 1 if bad else 0


if sys.argv[1] == "line":
    say_line(sys.argv[2])
else:
    warm, back = float(sys.argv[3]), float(sys.argv[4])
    sys.exit(say_end(sys.argv[2], warm, back, float(sys.argv[5]) if len(sys.argv) > 5 else back))
