#!/bin/sh
# Make the shipped checkpoint again, from nothing: a synthetic cohort, a training by patient from random weights, a
# judgement on a second synthetic cohort, and the file with its card. `make demo-checkpoint` calls this.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
home=${MGMT_LAB_HOME:-.}
run=$home/runs/demo-synthetic
train=$home/cache/demo/train
judge=$home/cache/demo/judge

$python -m core phantom "$train" --studies 120 --signal 3 --seed 11
$python -m core phantom "$judge" --studies 200 --signal 3 --seed 12
$python -m core train "$train" --preset honest --run "$run" --set weights=none --set size_px=224 \
    --set slice_count=5 --set flip_planes=all --set batch_size=16 --set epochs=10 --set test_fraction=0
$python -m core evaluate "$run" --data "$judge"
$python -m core export checkpoint "$run" --out checkpoints/demo-synthetic.safetensors --replace
$python -m core maps checkpoints/demo-synthetic.safetensors "$judge" --studies 100 --method gradcam --layer layer4.1 --keep
for cohort in 13 31; do $python -m core phantom "$home/cache/demo/$cohort" --studies 200 --signal 3 --seed $cohort; done
$python checkpoints/calibrate.py checkpoints/demo-synthetic.safetensors "$home/cache/demo/13" "$judge" "$home/cache/demo/31"
$python -m core export onnx checkpoints/demo-synthetic.safetensors --out checkpoints --replace
$python checkpoints/record_sample.py checkpoints/demo-synthetic.safetensors
