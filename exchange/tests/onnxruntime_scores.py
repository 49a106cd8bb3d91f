"""Runs ONNX models by onnxruntime and leaves what they give beside them.

    onnxruntime_scores.py FOLDER

Each folder in FOLDER holds model.onnx, inputs.json (a list of name, kind, shape) and one
input_PLACE.bin each, row-major and little-endian; outputs.json and output_PLACE.bin come to it.
Where onnx is installed, its checker sees every model too, and where safetensors is, it must read
weights.safetensors to the numbers that the model's initializers have.
"""

import json
import pathlib
import sys

import numpy
import onnxruntime

try:
    import onnx
    import onnx.numpy_helper
except ImportError:
    onnx = None

try:
    import safetensors.numpy
except ImportError:
    safetensors = None

KINDS = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "Bool": "|b1"}
NAMES = {numpy.dtype(kind): name for name, kind in KINDS.items()}

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 3

for case in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    model = (case / "model.onnx").read_bytes()
    try:
        if onnx is not None:
            onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
        if onnx is not None and safetensors is not None:
            named = safetensors.numpy.load_file(case / "weights.safetensors")
            for tensor in onnx.load_from_string(model).graph.initializer:
                array = onnx.numpy_helper.to_array(tensor)
                # What only ONNX has as a tensor, a shape or an axis, has no name there.
                own = named.get(tensor.name, array)
                assert numpy.array_equal(own, array, equal_nan=array.dtype.kind == "f"), tensor.name
            weighted = {tensor.name for tensor in onnx.load_from_string(model).graph.initializer}
            strange = [name for name in named if name not in weighted and "trees" not in name]
            assert not strange, strange
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        given = {}
        for place, entry in enumerate(json.loads((case / "inputs.json").read_text())):
            raw = (case / f"input_{place}.bin").read_bytes()
            array = numpy.frombuffer(raw, KINDS[entry["kind"]]).reshape(entry["shape"])
            given[entry["name"]] = array
        outputs = session.run(None, given)
        told = []
        for place, output in enumerate(outputs):
            output = numpy.ascontiguousarray(output)
            told.append({"kind": NAMES[output.dtype], "shape": list(output.shape)})
            (case / f"output_{place}.bin").write_bytes(output.tobytes())
        (case / "outputs.json").write_text(json.dumps(told))
    except Exception as error:
        (case / "error.txt").write_text(str(error))
