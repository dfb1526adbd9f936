"""Mutated inputs through the command line: each ends in work or in one clear line (SECURITY.md).

`python -m benchmarks.fuzz --inputs 2000 --seed 0` runs them; `--only NUMBER` repeats one with its traceback.

- `formats`: the good inputs of every format and how each is changed. A new format is one function there.
- `mutate`: changes of bytes, text, values, DICOM elements, NIfTI header fields and zip members.
- `kit`: the small model, view store and scan that the commands need besides the input.
- `child`: one command in a child process with limits of time and memory, and what became of it.
"""
