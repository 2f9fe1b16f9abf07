"""Embeddings of sentences by llama.cpp: MODEL OUT SENTENCE..., OUT gets them as JSON. A process of its own, as llama.cpp ends it
where it cannot run a model."""

import json
import sys

import xllamacpp

parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.embedding = True
parameters.warmup = False
parameters.n_gpu_layers = 0
parameters.n_parallel = 1
parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = 512
parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 2
answer = xllamacpp.Server(parameters).handle_embeddings({"input": sys.argv[3:], "model": "model"})
with open(sys.argv[2], "w") as out:
    json.dump([each["embedding"] for each in answer["data"]], out)
