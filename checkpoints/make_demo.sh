#!/bin/sh
# Make the shipped checkpoint again, from nothing: a synthetic cohort, a training by patient from random weights, a
# judgement on a second synthetic cohort, and the file with its card. `make demo-checkpoint` calls this.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=${MGMT_LAB_HOME:-.}/cache/demo
run=${MGMT_LAB_HOME:-.}/runs/demo-synthetic

$python -m core phantom "$work/train" --studies 120 --signal 3 --seed 11
$python -m core phantom "$work/judge" --studies 200 --signal 3 --seed 12
$python -m core train "$work/train" --preset honest --run "$run" \
    --set weights=none --set size_px=224 --set slice_count=5 --set batch_size=16 --set epochs=10 --set test_fraction=0
$python -m core evaluate "$run" --data "$work/judge"
$python -m core export checkpoint "$run" --out checkpoints/demo-synthetic.safetensors --replace
