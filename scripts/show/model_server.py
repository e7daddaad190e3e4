"""Serves a small model on loopback until standard input ends: model_server.py MODEL.gguf PORT."""

import sys

import xllamacpp

model, port = sys.argv[1], int(sys.argv[2])
params = xllamacpp.CommonParams()
params.model.path = model
params.hostnames = ["127.0.0.1"]
params.port = port
params.model_alias = {"smollm2-135m-instruct-q4_1"}
params.n_ctx = 4096
params.n_parallel = 1
# One thread: the service beside it needs the other processor, and spinning threads starve both.
params.cpuparams.n_threads = 1
params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print("ready", flush=True)
sys.stdin.read()
