#!/usr/bin/env python3
"""Prints the table "A53 estimate, MAC/cycle" of docs/performance.md.

    A53CYCLES=path/to/a53cycles.py engine/examples/a53_table.py PROGRAM [CASE...]

PROGRAM is the example a53_kernels built for aarch64 or armv7 (its own documentation says how), CASE names such as
gemm-256-int8, all by default. Estimates come from the cycle estimator that A53CYCLES names, one process per case.
"""
import json, os, subprocess, sys, tempfile


def estimate(estimator, program, case):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [sys.executable, estimator, "--no-mca", "--json", out.name, program, case]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            sys.exit(f"{case}: {run.stderr}")
        name, kernel, macs = next(line for line in run.stderr.splitlines() if line.startswith(case)).split()
        return name, kernel, int(macs), json.load(out)["cycles"]["own"]


def main():
    estimator, program = os.environ.get("A53CYCLES"), sys.argv[1] if len(sys.argv) > 1 else None
    if not estimator or not program:
        sys.exit(__doc__)
    qemu = "qemu-arm" if "arm" in os.path.basename(os.path.dirname(program)) or "armv7" in program else "qemu-aarch64"
    cases = sys.argv[2:] or subprocess.run([qemu, program], capture_output=True, text=True, check=True).stdout.split()
    print("| case | kernel | Mcycles | MAC/cycle |\n|---|---|---|---|")
    for case in cases:
        name, kernel, macs, cycles = estimate(estimator, program, case)
        print(f"| {name} | {kernel} | {cycles / 1e6:.3f} | {macs / cycles:.2f} |", flush=True)


main()
