"""The engine: Tensor, op, and the walk back. Read it first, in this order:

    tensor.py         an array that remembers how it was made
    op.py             a function on arrays that leaves a Node behind when it is called with Tensors
    backward.py       from the newest Node to the oldest: `loss.backward()`
    broadcasting.py   how a gradient gets back to the shape of its input

Everything else attaches itself at five places, marked [1] to [5] where they are:

    [1] a view whose base was edited renews its history before it is used      autograd/views.py
    [2] what an op does besides computing: dtypes meet, views arise            promotion.py, autograd/views.py
    [3] what failed is said in the words of tensors, after the fact            checks/errors.py
    [4] hooks of a Node or a leaf: gradient in, gradient out                   autograd/hooks.py
    [5] observers of what is recorded and of the walk                          autograd/anomaly.py, drawing.py
"""
