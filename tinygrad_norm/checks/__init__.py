"""What arguments have to be, and how errors say it.

arguments.py    `checked`: what the annotations of a signature say, looked at before the function runs
notes.py        the note with the call that an error gets, and its traceback
kinds.py        the words that a signature uses
sizes.py        sizes and dimensions, as one number or several
tensors.py      what may be assigned to a Tensor
errors.py       what went wrong in an op or in the walk, said in the words of tensors
"""
