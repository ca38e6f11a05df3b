"""Programs written for PyTorch, with nothing but their import lines changed.

Each follows the idioms of widely read tutorials. They are host programs: they mix NumPy in, as such programs do.
"""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm
import tinygrad_norm as torch
import tinygrad_norm.data as Data
import tinygrad_norm.nn as nn
import tinygrad_norm.nn.functional as F
import tinygrad_norm.nn.init as init
from tinygrad_norm import tensorboard
from tinygrad_norm.tensorboard import SummaryWriter


@pytest.fixture(autouse=True)
def on_the_host():
    before = tinygrad_norm.get_backend()
    tinygrad_norm.set_backend("numpy")
    yield
    tinygrad_norm.set_backend(before)


def gen_data(num_data=10, x_range=(-1, 1)):
    w = 1.5
    train_x = torch.linspace(*x_range, num_data).unsqueeze_(1)
    train_y = w * train_x + torch.normal(0, 0.5, size=train_x.size())
    test_x = torch.linspace(*x_range, num_data).unsqueeze_(1)
    test_y = w * test_x + torch.normal(0, 0.3, size=test_x.size())
    return train_x, train_y, test_x, test_y


class MLP(nn.Module):
    def __init__(self, neural_num, d_prob=0.5):
        super(MLP, self).__init__()
        self.linears = nn.Sequential(
            nn.Linear(1, neural_num),
            nn.ReLU(inplace=True),
            nn.Dropout(d_prob),
            nn.Linear(neural_num, neural_num),
            nn.ReLU(inplace=True),
            nn.Dropout(d_prob),
            nn.Linear(neural_num, 1),
        )

    def forward(self, x):
        return self.linears(x)


def test_two_regularised_nets_and_their_histograms(tmp_path, monkeypatch) -> None:
    torch.manual_seed(1)
    train_x, train_y, test_x, _ = gen_data(x_range=(-1, 1))
    net_normal, net_decay = MLP(neural_num=20, d_prob=0.0), MLP(neural_num=20)
    optim_normal = torch.optim.SGD(net_normal.parameters(), lr=0.01, momentum=0.9)
    optim_decay = torch.optim.SGD(net_decay.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-2)
    loss_func = torch.nn.MSELoss()
    logged = {}
    log = tensorboard.tensorboardX.SummaryWriter.add_histogram

    def spy(self, tag, values, *rest, **named):
        logged[tag] = values
        return log(self, tag, values, *rest, **named)

    monkeypatch.setattr(tensorboard.tensorboardX.SummaryWriter, "add_histogram", spy)
    writer = SummaryWriter(str(tmp_path), comment="_test", filename_suffix="12345678")
    losses = []
    for epoch in range(20):
        pred_normal, pred_decay = net_normal(train_x), net_decay(train_x)
        loss_normal, loss_decay = loss_func(pred_normal, train_y), loss_func(pred_decay, train_y)
        optim_normal.zero_grad()
        optim_decay.zero_grad()
        loss_normal.backward()
        loss_decay.backward()
        optim_normal.step()
        optim_decay.step()
        losses.append(loss_normal.item())
        if (epoch + 1) % 10 == 0:
            net_decay.eval()
            for name, layer in net_normal.named_parameters():
                writer.add_histogram(name + "_grad_normal", layer.grad, epoch)
                writer.add_histogram(name + "_data_normal", layer, epoch)
            assert net_decay(test_x).data.numpy().shape == (10, 1)
            net_decay.train()
    writer.add_scalar("loss", loss_normal, epoch)
    writer.add_image("weights", net_normal.linears[3].weight.detach().unsqueeze(0), epoch)
    writer.close()
    assert losses[-1] < losses[0]
    for name, p in net_normal.named_parameters():
        np.testing.assert_array_equal(logged[f"{name}_data_normal"], p.data.numpy())
        np.testing.assert_array_equal(logged[f"{name}_grad_normal"], p.grad.numpy())
    assert any(file.stat().st_size > 1000 for file in tmp_path.iterdir())


class Net(nn.Module):
    def __init__(self, neural_num, d_prob=0.5):
        super().__init__()
        self.linears = nn.Sequential(nn.Dropout(d_prob), nn.Linear(neural_num, 1, bias=False), nn.ReLU(inplace=True))

    def forward(self, x):
        return self.linears(x)


@pytest.mark.parametrize("seed", range(5))
def test_dropout_keeps_the_scale(seed) -> None:
    torch.manual_seed(seed)
    input_num = 10000
    x = torch.ones((input_num,), dtype=torch.float32)
    net = Net(input_num, d_prob=0.5)
    net.linears[1].weight.detach().fill_(1.0)
    net.train()
    assert abs(net(x).item() - 10000) < 500
    net.eval()
    assert net(x).item() == 10000.0


class Deep(nn.Module):
    def __init__(self, neural_num, layers=100):
        super().__init__()
        self.linears = nn.ModuleList([nn.Linear(neural_num, neural_num, bias=False) for i in range(layers)])
        self.bns = nn.ModuleList([nn.BatchNorm1d(neural_num) for i in range(layers)])
        self.normalize = False

    def forward(self, x):
        self.spreads = []
        for (i, linear), bn in zip(enumerate(self.linears), self.bns):
            x = linear(x)
            if self.normalize:
                x = bn(x)
            x = torch.relu(x)
            if torch.isnan(x.std()):
                self.nan_at = i
                break
            self.spreads.append(x.std().item())
        return x

    def initialize(self, how, **settings):
        for m in self.modules():
            if isinstance(m, nn.Linear):
                how(m.weight.data, **settings)


@pytest.mark.parametrize("seed", range(3))
def test_a_hundred_layers(seed) -> None:
    torch.manual_seed(seed)
    inputs = torch.randn((16, 256))
    net = Deep(256)
    net(inputs)
    assert 0 < net.spreads[-1] < 1e-37
    net.initialize(nn.init.kaiming_normal_)
    net(inputs)
    assert len(net.spreads) == 100
    assert all(0.05 < s < 5 for s in net.spreads)
    net.initialize(nn.init.normal_, std=1)
    with np.errstate(over="ignore", invalid="ignore"):
        net(inputs)
    assert 33 <= net.nan_at <= 37
    net.normalize = True
    net(inputs)
    assert all(abs(s - 0.584) < 0.05 for s in net.spreads)


class Toy(nn.Module):
    def __init__(self, batch_normalization=False, hidden=3):
        super().__init__()
        self.do_bn = batch_normalization
        self.fcs = []
        self.bns = []
        self.bn_input = nn.BatchNorm1d(1, momentum=0.5)
        for i in range(hidden):
            fc = nn.Linear(1 if i == 0 else 10, 10)
            setattr(self, "fc%i" % i, fc)
            self._set_init(fc)
            self.fcs.append(fc)
            if self.do_bn:
                bn = nn.BatchNorm1d(10, momentum=0.5)
                setattr(self, "bn%i" % i, bn)
                self.bns.append(bn)
        self.predict = nn.Linear(10, 1)
        self._set_init(self.predict)

    def _set_init(self, layer):
        init.normal_(layer.weight, mean=0.0, std=0.1)
        init.constant_(layer.bias, -0.2)

    def forward(self, x):
        pre_activation = [x]
        if self.do_bn:
            x = self.bn_input(x)
        layer_input = [x]
        for i, fc in enumerate(self.fcs):
            x = fc(x)
            pre_activation.append(x)
            if self.do_bn:
                x = self.bns[i](x)
            x = F.tanh(x)
            layer_input.append(x)
        return self.predict(x), layer_input, pre_activation


@pytest.mark.filterwarnings("ignore:.*plain list.*")
def test_layers_set_in_a_loop_and_a_loader() -> None:
    torch.manual_seed(0)
    x = np.linspace(-7, 10, 200)[:, np.newaxis]
    y = np.square(x) - 5 + np.random.default_rng(0).normal(0, 2, x.shape)
    train_x, train_y = torch.from_numpy(x).float(), torch.from_numpy(y).float()
    train_dataset = Data.TensorDataset(train_x, train_y)
    train_loader = Data.DataLoader(dataset=train_dataset, batch_size=64, shuffle=True, num_workers=0)
    nets = [Toy(batch_normalization=False), Toy(batch_normalization=True)]
    assert len(list(nets[0].parameters())) == 10  # three layers, the predictor, and the norm of the input
    assert len(list(nets[1].parameters())) == 16
    opts = [torch.optim.Adam(net.parameters(), lr=0.03) for net in nets]
    loss_func = torch.nn.MSELoss()
    losses = [[], []]
    for _epoch in range(40):
        for net, history in zip(nets, losses):
            net.eval()
            pred, layer_input, pre_act = net(train_x)
            assert len(layer_input) == len(pre_act) == 4
            history.append(loss_func(pred, train_y).data.item())
            net.train()
        for _step, (b_x, b_y) in enumerate(train_loader):
            for net, opt in zip(nets, opts):
                pred, _, _ = net(b_x)
                loss = loss_func(pred, b_y)
                opt.zero_grad()
                loss.backward()
                opt.step()
    assert losses[1][-1] < losses[0][-1] / 2


def batch_norm(X, gamma, beta, moving_mean, moving_var, eps, momentum):
    if not torch.is_grad_enabled():
        X_hat = (X - moving_mean) / torch.sqrt(moving_var + eps)
    else:
        assert len(X.shape) in (2, 4)
        if len(X.shape) == 2:
            mean = X.mean(dim=0)
            var = ((X - mean) ** 2).mean(dim=0)
        else:
            mean = X.mean(dim=(0, 2, 3), keepdim=True)
            var = ((X - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
        X_hat = (X - mean) / torch.sqrt(var + eps)
        moving_mean = momentum * moving_mean + (1.0 - momentum) * mean
        moving_var = momentum * moving_var + (1.0 - momentum) * var
    return gamma * X_hat + beta, moving_mean.data, moving_var.data


class BatchNorm(nn.Module):
    def __init__(self, num_features, num_dims):
        super().__init__()
        shape = (1, num_features) if num_dims == 2 else (1, num_features, 1, 1)
        self.gamma = nn.Parameter(torch.ones(shape))
        self.beta = nn.Parameter(torch.zeros(shape))
        self.moving_mean = torch.zeros(shape)
        self.moving_var = torch.ones(shape)

    def forward(self, X):
        if self.moving_mean.device != X.device:
            self.moving_mean = self.moving_mean.to(X.device)
            self.moving_var = self.moving_var.to(X.device)
        Y, self.moving_mean, self.moving_var = batch_norm(
            X, self.gamma, self.beta, self.moving_mean, self.moving_var, eps=1e-5, momentum=0.9
        )
        return Y


def test_a_lenet_with_a_norm_of_its_own() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(1, 6, kernel_size=5), BatchNorm(6, num_dims=4), nn.Sigmoid()),
        nn.AvgPool2d(kernel_size=2, stride=2),
        *(nn.Conv2d(6, 16, kernel_size=5), BatchNorm(16, num_dims=4), nn.Sigmoid()),
        *(nn.AvgPool2d(kernel_size=2, stride=2), nn.Flatten()),
        *(nn.Linear(16 * 4 * 4, 120), BatchNorm(120, num_dims=2), nn.Sigmoid()),
        *(nn.Linear(120, 84), BatchNorm(84, num_dims=2), nn.Sigmoid(), nn.Linear(84, 10)),
    )

    def init_weights(m):
        if type(m) == nn.Linear or type(m) == nn.Conv2d:  # noqa: E721
            nn.init.xavier_uniform_(m.weight)

    net.apply(init_weights)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    X, y = torch.rand(32, 1, 28, 28), torch.randint(0, 10, (32,))
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(net(X), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0] / 2
    assert net[1].gamma.reshape((-1,)).shape == (6,)
    with torch.no_grad():
        assert 0 <= (net(X).argmax(axis=1) == y).sum().item() <= 32


class LeNet_bn(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.bn1 = nn.BatchNorm2d(num_features=6)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.bn2 = nn.BatchNorm2d(num_features=16)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.bn3 = nn.BatchNorm1d(num_features=120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        out = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        out = F.max_pool2d(F.relu(self.bn2(self.conv2(out))), 2)
        out = out.view(out.size(0), -1)
        out = F.relu(self.bn3(self.fc1(out)))
        out = F.relu(self.fc2(out))
        return self.fc3(out)


def test_a_lenet_and_a_hand_written_step() -> None:
    torch.manual_seed(0)
    net = LeNet_bn(classes=2)
    net.double()
    x, y = torch.randn(8, 3, 32, 32).double(), torch.randint(0, 2, (8,))
    lr, weight_decay, losses = 0.05, 1e-3, []
    for _ in range(10):
        loss = nn.CrossEntropyLoss()(net(x), y)
        net.zero_grad()
        loss.backward()
        for p in net.parameters():
            d_p = p.grad.data
            d_p.add_(p.data, alpha=weight_decay)
            p.data.add_(d_p, alpha=-lr)
        losses.append(loss.item())
    assert net.fc1.weight.data.numpy().dtype == np.float64
    assert losses[-1] < losses[0]


def test_norms_of_constant_maps() -> None:
    feature_map = torch.ones((2, 2))
    feature_maps = torch.stack([feature_map * (i + 1) for i in range(4)], dim=0)
    feature_maps_bs = torch.stack([feature_maps * (i + 1) for i in range(2)], dim=0)
    gn = nn.GroupNorm(2, 4)
    outputs = gn(feature_maps_bs)
    assert gn.weight.shape == torch.Size([4])
    np.testing.assert_allclose(outputs[0].data.numpy()[:, 0, 0], [-1, 1, -1, 1], atol=3e-5)
    assert f"input data:\n {feature_maps_bs} shape is {feature_maps_bs.shape}".endswith("Size([2, 4, 2, 2])")
