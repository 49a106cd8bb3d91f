"""Scores rows of features by a model that pelton exported: scores.py MODEL.onnx ROWS.json

ROWS.json is a list of the "features" of score records; the scores leave as a JSON list.
"""

import json
import sys

import numpy
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
with open(sys.argv[2], encoding="utf-8") as file:
    rows = json.load(file)
inputs = {}
for given in session.get_inputs():
    if given.name == "dense":
        numbers = [[numpy.nan if x is None else x for x in row["dense"]] for row in rows]
        inputs["dense"] = numpy.array(numbers, dtype=numpy.float32)
    else:
        indices = [[-1 if x is None else x for x in row["sparse"]] for row in rows]
        inputs["sparse"] = numpy.array(indices, dtype=numpy.int64)
(scores,) = session.run(["scores"], inputs)
json.dump([float(score) for score in scores[:, 0]], sys.stdout)
