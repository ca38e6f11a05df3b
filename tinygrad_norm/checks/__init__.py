"""What arguments have to be, and how errors say it.

arguments.py    `checked`: what the annotations of a signature say, looked at before the function runs
tensors.py      what may be assigned to a Tensor
errors.py       what went wrong in an op or in the walk, said in the words of tensors
"""
