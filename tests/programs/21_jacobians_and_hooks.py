import torch
from torch.autograd import Variable, grad
from torch.autograd.functional import hessian, jacobian, jvp, vjp

x = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
J = jacobian(lambda v: torch.stack([v.sum(), (v * v).prod()]), x)
H = hessian(lambda v: (v**3).sum() * v[0], x)
_, forward = jvp(lambda v: v.sin() * v, x, torch.ones(3))
_, backward = vjp(lambda v: v.sin() * v, x, torch.ones(3))
losses = J.flatten().tolist() + H.flatten().tolist() + forward.tolist() + backward.tolist()
seen = []
y = x * x
handle = y.register_hook(lambda g: seen.append(g.sum().item()))
z = y.exp().log().sum()
(first,) = grad(z, x, create_graph=True)
(second,) = grad(first.sum(), x)
handle.remove()
losses += first.tolist() + second.tolist() + seen
net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh())
shapes = []
for layer in net:
    layer.register_forward_hook(lambda module, inputs, output: shapes.append(float(output.shape[-1])))
net(Variable(torch.ones(4, 3)))
losses += shapes
