"""Data parallelism: the same program in several processes, by MPI. It needs mpi4py: pip install "tinygrad_norm[mpi]".

    # mpiexec -n 4 python train.py
    import tinygrad_norm.distributed as dist
    from tinygrad_norm.data import DataLoader, DistributedSampler
    from tinygrad_norm.nn.parallel import DistributedDataParallel

    model = DistributedDataParallel(nn.SyncBatchNorm.convert_sync_batchnorm(model))
    sampler = DistributedSampler(dataset)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for x, y in DataLoader(dataset, batch_size, sampler=sampler):
            ...                                   # as in one process
    if dist.get_rank() == 0:
        tn.save(model.module.state_dict(), path)  # loads in any number of processes

What is gathered here: mpi.py passes arrays between processes and ends all where one fails; nn/parallel.py averages
gradients; nn.SyncBatchNorm is batch norm over all processes; DistributedSampler gives each its share of the data.
"""

from tinygrad_norm.data.sampler import DistributedSampler
from tinygrad_norm.mpi import all_reduce, barrier, end_all_on_error, get_rank, get_world_size, set_timeout
from tinygrad_norm.nn.parallel import DistributedDataParallel, broadcast_parameters
from tinygrad_norm.nn.sync_norm import SyncBatchNorm

__all__ = ["DistributedDataParallel", "DistributedSampler", "SyncBatchNorm", "all_reduce", "barrier"]
__all__ += ["broadcast_parameters", "end_all_on_error", "get_rank", "get_world_size", "set_timeout"]
convert_sync_batchnorm = SyncBatchNorm.convert_sync_batchnorm
