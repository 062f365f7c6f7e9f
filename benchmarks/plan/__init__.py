"""The plan past one machine: what a million requests cost, what 1k to 100k a second need, what runs out first.

Three layers: what was measured (`figures.py`, and `stages.py` for what the benchmarks leave out), arithmetic on it
(`costs.py`, `limits.py`), and a simulation (`simulation.py`) that is held against the measured curves
(`checked.py`). `page.py` writes it down.
"""
