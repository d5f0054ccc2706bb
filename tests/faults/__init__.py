"""Faults that finetui must survive, by their rows; `test_rows.py` says which test is for which."""
