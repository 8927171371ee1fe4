"""Manifests that are wrong, made by hand: what is changed, and what has to be told where."""

SMALL = """\
apiVersion: plugwave/v1
kind: Rollout
metadata:
  name: small
spec:
  plugin:
    name: volcano
    version: "1.15.8"
    inputs:
      merge: {cpuLimit: 4}
  targets:
    include:
      - regions: [cn-north-4]
  waves:
    - name: canary
      pick: {count: 2}
      bake: 5m
    - name: rest
      pick: {rest: true}
  stop:
    - {name: cap, failures: 3}
  windows:
    - {name: night, start: "22:00", duration: 4h, timeZone: Asia/Shanghai}
"""

FREEZE = (
    '  freezes: [{name: a, from: "2027-01-02T00:00", until: "2027-01-01T00:00", timeZone: UTC}]\n'
)
CHANGES: dict[str, tuple[str, str, str, str]] = {
    # what it is: (text, what stands in its place, code, line:column)
    "continuous-file": (
        "    include:\n      - regions: [cn-north-4]\n",
        "    file: fleet.csv\n    membership: continuous\n",
        "MAN-08",
        "13:17",
    ),
    "require-half": (
        "  windows:\n",
        "  job: {verify: {require: [phase, inputs]}}\n  windows:\n",
        "MAN-08",
        "22:27",
    ),
    "poll-storm": (
        "  windows:\n",
        "  job: {verify: {poll: {first: 1ms}}}\n  windows:\n",
        "MAN-08",
        "22:32",
    ),
    "no-api-version": ("apiVersion: plugwave/v1\n", "", "MAN-05", "1:1"),
    "other-api-version": ("plugwave/v1", "plugwave/v2", "MAN-06", "1:13"),
    "kind-job": ("kind: Rollout", "kind: Job", "MAN-06", "2:7"),
    "kind-twice": ("kind: Rollout\n", "kind: Rollout\nkind: Rollout\n", "MAN-03", "3:1"),
    "kind-null": ("kind: Rollout", "kind:", "MAN-06", "2:1"),
    "no-name": ("  name: small\n", "  labels: {}\n", "MAN-05", "3:1"),
    "name-with-space": ("name: small", "name: s mall", "MAN-06", "4:9"),
    "name-number": ("name: small", "name: 12", "MAN-06", "4:9"),
    "name-list": ("name: small", "name: [small]", "MAN-06", "4:9"),
    "name-slash": ("name: small", "name: a/b", "MAN-06", "4:9"),
    "no-plugin": ("  plugin:\n", "  plugins:\n", "MAN-07", "6:3"),
    "plugin-path": ("name: volcano", "name: ../volcano", "MAN-06", "7:11"),
    "version-float": ('"1.15.8"', "1.15", "MAN-06", "8:14"),
    "version-int": ('"1.15.8"', "20261124", "MAN-06", "8:14"),
    "version-space": ('"1.15.8"', '"1.15 8"', "MAN-06", "8:14"),
    "version-empty": ('"1.15.8"', '""', "MAN-06", "8:14"),
    "version-range-half": ('"1.15.8"', '">="', "MAN-06", "8:14"),
    "version-null": ('"1.15.8"', "~", "MAN-06", "8:14"),
    "version-bool": ('"1.15.8"', "true", "MAN-06", "8:14"),
    "inputs-list": ("merge: {cpuLimit: 4}", "merge: [4]", "MAN-06", "10:14"),
    "inputs-flat": ("merge: {cpuLimit: 4}", "cpuLimit: 4", "MAN-07", "10:7"),
    "inputs-nan": ("{cpuLimit: 4}", "{cpuLimit: .nan}", "MAN-06", "10:25"),
    "inputs-inf": ("{cpuLimit: 4}", "{cpuLimit: -.inf}", "MAN-06", "10:25"),
    "inputs-number-key": ("{cpuLimit: 4}", "{4: 4}", "MAN-02", "10:15"),
    "inputs-bool-key": ("{cpuLimit: 4}", "{true: 4}", "MAN-02", "10:15"),
    "inputs-null-key": ("{cpuLimit: 4}", "{~: 4}", "MAN-02", "10:15"),
    "inputs-list-key": ("{cpuLimit: 4}", "{[a]: 4}", "MAN-02", "10:15"),
    "inputs-twice": ("{cpuLimit: 4}", "{a: 1, a: 2}", "MAN-03", "10:21"),
    "inputs-large": ("{cpuLimit: 4}", "{a: 99999999999999999999}", "MAN-06", "10:18"),
    "inputs-huge": ("{cpuLimit: 4}", "{a: 1e999}", "MAN-06", "10:18"),
    "inputs-surrogate": ("{cpuLimit: 4}", '{a: "\\ud800"}', "MAN-02", "10:18"),
    "base-unknown": ("merge: {cpuLimit: 4}", "base: curent", "MAN-06", "10:13"),
    "regions-number": ("[cn-north-4]", "[4]", "MAN-06", "13:19"),
    "regions-upper": ("[cn-north-4]", "[CN-North-4]", "MAN-06", "13:19"),
    "regions-empty": ("[cn-north-4]", "[]", "MAN-06", "13:18"),
    "selector-empty": ("- regions: [cn-north-4]", "- {}", "MAN-08", "13:9"),
    "selector-text": ("- regions: [cn-north-4]", "- cn-north-4", "MAN-06", "13:9"),
    "include-mapping": ("      - regions: [", "        regions: [", "MAN-06", "13:9"),
    "file-elsewhere": (
        "    include:\n",
        "    file: /etc/passwd\n    include:\n",
        "MAN-06",
        "12:11",
    ),
    "file-above": ("    include:\n", "    file: a/../../b\n    include:\n", "MAN-06", "12:11"),
    "if-absent": ("    include:\n", "    ifAbsent: maybe\n    include:\n", "MAN-06", "12:15"),
    "waves-empty": ("  targets:", "  preset: slow\n  targets:", "MAN-06", "11:11"),
    "pick-nothing": ("{count: 2}", "{}", "MAN-08", "16:13"),
    "pick-two": ("{count: 2}", "{count: 2, percent: 5}", "MAN-08", "16:33"),
    "pick-zero": ("{count: 2}", "{count: 0}", "MAN-06", "16:21"),
    "pick-negative": ("{count: 2}", "{count: -2}", "MAN-06", "16:21"),
    "pick-text": ("{count: 2}", "{count: two}", "MAN-06", "16:21"),
    "percent-zero": ("{count: 2}", "{percent: 0}", "MAN-06", "16:23"),
    "percent-many": ("{count: 2}", "{percent: 101}", "MAN-06", "16:23"),
    "percent-words": ("{count: 2}", "{percent: half}", "MAN-06", "16:23"),
    "rest-false": ("{rest: true}", "{rest: false}", "MAN-06", "19:20"),
    "rest-yes": ("{rest: true}", "{rest: yes}", "MAN-06", "19:20"),
    "rest-twice": ("{count: 2}", "{rest: true}", "MAN-08", "19:20"),
    "wave-names": ("name: rest", "name: canary", "MAN-08", "18:13"),
    "bake-no-unit": ("bake: 5m", "bake: 5", "MAN-06", "17:13"),
    "bake-words": ("bake: 5m", "bake: soon", "MAN-06", "17:13"),
    "bake-negative": ("bake: 5m", "bake: -5m", "MAN-06", "17:13"),
    "bake-years": ("bake: 5m", "bake: 9000d", "MAN-06", "17:13"),
    "bake-misspelt": ("bake: 5m", "bak: 5m", "MAN-07", "17:7"),
    "rule-two": ("failures: 3", 'failures: 3, ratio: "5%"', "MAN-08", "21:7"),
    "rule-none": (", failures: 3", "", "MAN-08", "21:7"),
    "rule-negative": ("failures: 3", "failures: -1", "MAN-06", "21:29"),
    "rule-fraction": ("failures: 3", "failures: 0.5", "MAN-06", "21:29"),
    "ratio-no-sign": ("failures: 3", "ratio: 0.15", "MAN-06", "21:26"),
    "evidence-order": ("failures: 3", "evidence: {ok: 20%, bad: 5%}", "MAN-08", "21:44"),
    "on-is-no-key": ("  stop:\n", "  on: pause\n  stop:\n", "MAN-07", "20:3"),
    "zone": ("Asia/Shanghai", "Asia/Shangai", "MAN-06", "23:61"),
    "zone-offset": ("Asia/Shanghai", '"+08:00"', "MAN-06", "23:61"),
    "time-number": ('"22:00"', "1320", "MAN-06", "23:28"),
    "time-late": ('"22:00"', '"24:00"', "MAN-06", "23:28"),
    "duration-short": ("duration: 4h", "duration: 1s", "MAN-08", "23:47"),
    "webhook": (
        "  stop:\n",
        "  notify: [{events: [paused], webhook: http://x}]\n  stop:\n",
        "MAN-06",
        "20:40",
    ),
    "cron": (
        "  stop:\n",
        "  schedule: {cron: weekly, timeZone: UTC}\n  stop:\n",
        "MAN-06",
        "20:20",
    ),
    "freeze-half": (
        "  stop:\n",
        '  freezes: [{name: a, from: "2027-01-01T00:00"}]\n  stop:\n',
        "MAN-08",
        "20:13",
    ),
    "freeze-order": (
        "  stop:\n    - {name: cap, failures: 3}\n",
        FREEZE,
        "MAN-08",
        "20:56",
    ),
    "allow-rule": ("duration: 4h", "allow: FREQ=HOURLY, duration: 4h", "MAN-06", "23:44"),
    "deadline": ("  stop:\n", "  job: {deadline: 30s}\n  stop:\n", "MAN-08", "20:3"),
    "tab": ("  targets:", "\ttargets:", "MAN-02", "11:1"),
    "anchor-unknown": ("{count: 2}", "*early", "MAN-02", "16:13"),
    "merge-key": ("      pick: {count: 2}\n", "      <<: {count: 2}\n", "MAN-02", "16:7"),
    "tag": ("{count: 2}", "!!python/object:os.system {}", "MAN-06", "16:13"),
    "open-bracket": ("{count: 2}", "{count: 2", "MAN-02", "17:11"),
    "open-quote": ('"1.15.8"', '"1.15.8', "MAN-02", "23:29"),
    "colon-in-text": ("name: small", "name: small: one", "MAN-02", "4:14"),
    "at-sign": ("name: small", "name: @small", "MAN-02", "4:9"),
    "second-document": ("  stop:\n", "---\nstop:\n", "MAN-02", "20:1"),
    "yaml-1-1": ("apiVersion:", "%YAML 1.1\n---\napiVersion:", "MAN-02", "2:1"),
    "control": ("name: small", "name: sm\x01all", "MAN-02", "4:11"),
}
"""Each is one change to SMALL, with the first finding that must be told."""

WHOLE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "MAN-02"),
    "only-comment": (b"# nothing\n", "MAN-02"),
    "a-list": (b"- 1\n", "MAN-02"),
    "a-text": (b"rollout\n", "MAN-02"),
    "not-utf-8": (b"kind: \xff\n", "MAN-01"),
    "utf-16": ("kind: Rollout".encode("utf-16"), "MAN-01"),
    "too-large": (b"#" + b"x" * 300_000, "MAN-04"),
    "brackets": (b"[" * 20_000, "MAN-04"),
    "deep-list": (b"- " * 5_000, "MAN-04"),
    "deep-flow": (b"a: " + b"{a: " * 100, "MAN-04"),
    "alias-bomb": (
        b"a0: &a0 [x]\n"
        + b"".join(
            b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 11)
        ),
        "MAN-04",
    ),
    "alias-many": (b"a: &a x\nb: [" + b"*a, " * 200 + b"]\n", "MAN-04"),
    "alias-of-itself": (b"a: &a [*a]\n", "MAN-02"),
    "nul": (b"a: \x00\n", "MAN-02"),
    "escape": (b'a: "\\U7fffffff"\n', "MAN-02"),
    "long-number": (b"a: " + b"9" * 5_000 + b"\n", "MAN-06"),
}
