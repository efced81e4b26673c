#!/usr/bin/env python3
"""Times this engine side by side with LiteRT (XNNPACK), ONNX Runtime, tract and rten, one thread, in turns.

    peers/compare.py palm_detection_lite.tflite hand_landmark_lite.tflite --rounds 50

Makes a virtual environment with the versions of requirements.txt, builds `agent` and the Rust peers (--no-rust leaves
those out), and prints a table of the fastest and of the median runs in milliseconds. --json FILE keeps every sample.
Everyone gets the same models: TFLite files, their fp32 form converted to ONNX and their 8-bit form made by
ai-edge-quantizer (static, weights and activations of 8 bits); of single layers both forms are written here. Before anything
is timed, converted models must give LiteRT's results.

ONNX Runtime's 8-bit kernels are left out: without VNNI they saturate, so their results are not exact.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
VENV = HERE / ".venv"


def enter_environment():
    """Runs this script with the pinned packages."""
    python = VENV / "bin" / "python"
    if Path(sys.prefix) == VENV:
        return
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    wanted = HERE / "requirements.txt"
    stamp = VENV / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != wanted.read_text():
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", wanted], check=True)
        stamp.write_text(wanted.read_text())
    os.execv(python, [str(python), *sys.argv])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path, help="fp32 TFLite files")
    parser.add_argument("--rounds", type=int, default=50, help="runs of each subject")
    parser.add_argument("--json", type=Path, help="where to write every sample")
    parser.add_argument("--no-layers", action="store_true", help="models only")
    parser.add_argument("--no-rust", action="store_true", help="without tract and rten")
    parser.add_argument("--work", type=Path, default=HERE / ".work", help="made models")
    parser.add_argument("--agent", type=Path, help="an agent that is built already")
    return parser.parse_args()


def build(manifest, package, name):
    """The path of a release binary."""
    command = ["cargo", "build", "--release", "--manifest-path", manifest, "-p", package]
    command += ["--message-format", "json-render-diagnostics"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    made = (json.loads(line) for line in done.stdout.splitlines())
    return next(m["executable"] for m in made
                if m.get("executable") and m["target"]["name"] == name)


class Child:
    """A program that times each of its subjects once for every line, and answers with a line of JSON."""

    def __init__(self, who, command):
        self.who = who
        environment = {**os.environ, "RTEN_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
        self.process = subprocess.Popen([str(part) for part in command], text=True, env=environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def round(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.who} ended with {self.process.wait()}")
        for row in json.loads(line):
            yield (Path(row["case"]).stem, row.get("who", self.who), row["level"]), row["ns"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Called:
    """Python functions, each timed once a round."""

    def __init__(self):
        self.subjects = []

    def round(self):
        for key, run in self.subjects:
            start = time.perf_counter_ns()
            run()
            yield key, time.perf_counter_ns() - start

    def close(self):
        self.subjects.clear()


def litert(file):
    """A function that runs the model, and one that gives its results for an input."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file), num_threads=1)
    interpreter.allocate_tensors()
    port = interpreter.get_input_details()[0]

    def results(x):
        interpreter.set_tensor(port["index"], x)
        interpreter.invoke()
        return [interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()]

    results(np.ones(port["shape"], port["dtype"]))
    return interpreter.invoke, results, port


def onnx_runtime(file):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"input_0": x})


def quantize(file, to):
    """Static quantization with 8-bit weights and activations."""
    import layers
    import numpy as np
    from ai_edge_quantizer import quantizer, recipe

    _, _, port = litert(file)
    rng = np.random.default_rng(1)
    samples = [{"x": rng.random(port["shape"], np.float32)} for _ in range(4)]
    made = quantizer.Quantizer(bytearray(layers.quantizable(file.read_bytes())), recipe.static_wi8_ai8())
    result = made.calibrate({"run": samples}, num_threads=1)
    made.quantize(result).export_model(str(to), overwrite=True)


def prepare(args):
    """For each model its name, fp32 TFLite, 8-bit TFLite and ONNX files."""
    import layers
    import tflite_to_onnx

    args.work.mkdir(exist_ok=True)
    files = []
    for model in args.models:
        int8 = args.work / f"{model.stem}.int8.tflite"
        quantize(model, int8)
        files.append((model.stem, model, int8))
    for name, *layer in [] if args.no_layers else layers.LAYERS:
        fp32, int8 = args.work / f"{name}.tflite", args.work / f"{name}.int8.tflite"
        fp32.write_bytes(layers.layer(*layer, int8=False))
        int8.write_bytes(layers.layer(*layer, int8=True))
        files.append((name, fp32, int8))
    prepared = []
    for name, fp32, int8 in files:
        onnx = args.work / f"{name}.onnx"
        onnx.write_bytes(tflite_to_onnx.convert(fp32.read_bytes()))
        prepared.append((name, fp32, int8, onnx))
    return prepared


def python_peers(files):
    """LiteRT and ONNX Runtime, after a comparison of their results."""
    import numpy as np

    peers = Called()
    for name, fp32, int8, onnx in files:
        run, results, port = litert(fp32)
        x = np.random.default_rng(2).random(port["shape"], np.float32)
        session, wanted = onnx_runtime(onnx), results(x)
        scale = max(np.abs(w).max() for w in wanted)
        for got, want in zip(session(x), wanted):
            assert np.abs(got.reshape(-1) - want.reshape(-1)).max() < 1e-4 * scale, name
        peers.subjects += [
            ((name, "LiteRT", "fp32"), run),
            ((name, "LiteRT", "int8"), litert(int8)[0]),
            ((name, "ONNX Runtime", "fp32"), lambda session=session, x=x: session(x)),
        ]
    return peers


def own(args):
    agent = args.agent or build(ROOT / "Cargo.toml", "quantrack-agent", "agent")
    families = [] if args.no_layers else ["gemm", "conv", "depthwise", "fc"]
    families += ["model"] if args.models else []
    command = [agent, "bench", "--by-line", "--levels", "fp32,int8,bin1"]
    for family in families:
        command += ["--family", family]
    return Child("quantrack", command + args.models)


def table(samples, names):
    """Fastest and median of each subject, a row for each model."""
    columns = sorted({key[1:] for key in samples}, key=lambda c: (c[1] != "fp32", c[1] == "bin1",
                                                                   c[0] != "quantrack", c[0]))
    yield "| case | " + " | ".join(f"{who} {level}" for who, level in columns) + " |"
    yield "|---" * (1 + len(columns)) + "|"
    for name in names:
        cells = []
        for column in columns:
            times = samples.get((name, *column))
            cells.append("" if times is None else
                         f"{min(times) / 1e6:.3f} ({statistics.median(times) / 1e6:.3f})")
        yield f"| {name} | " + " | ".join(cells) + " |"


def main():
    args = arguments()
    files = prepare(args)
    children = [own(args)]
    if not args.no_rust:
        program = build(HERE / "rust" / "Cargo.toml", "quantrack-peers", "quantrack-peers")
        children.append(Child("rust", [program, *(onnx for *_, onnx in files)]))
    children.append(python_peers(files))
    samples = {}
    for index in range(args.rounds + 2):
        for child in children:
            for key, ns in child.round():
                if index >= 2:
                    samples.setdefault(key, []).append(ns)
    for child in children:
        child.close()
    names = [name for name, *_ in files]
    if args.json:
        rows = [{"case": c, "who": w, "level": l, "ns": ns} for (c, w, l), ns in samples.items()]
        args.json.write_text(json.dumps({"rounds": args.rounds, "rows": rows}, indent=1))
    print("Milliseconds, fastest (median) of", args.rounds, "runs in turns, one thread.\n")
    print("\n".join(table(samples, names)))


if __name__ == "__main__":
    enter_environment()
    main()
