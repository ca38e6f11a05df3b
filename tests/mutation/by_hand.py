"""Would the suite notice what a tired colleague might write? Sixty-five mistakes, in modules, optimizers, data, files and autograd.

    python tests/mutation/by_hand.py        # PLANTED=0/3, 1/3, 2/3: a third of them

As engine.py: each is a few words changed in one function. The first fourteen once went unnoticed. Prints each as it is done, and
killed of planted; exits with 1 if one survives.
"""

from __future__ import annotations

import sys

from engine import SUITE, plant

MORE = (
    "test_users_errors test_names test_gradcheck test_dropout compare/test_modules_like_torch "
    "compare/test_every_keyword_like_torch test_explorer"
).split()

# module: (function, what stands there, what is planted), ...
MUTANTS: dict[str, tuple[tuple[str, str, str], ...]] = {
    # ---- those that were not noticed once
    "engine.backward": (
        ("_walk", "final[node] = own(g, True)", "final[node] = own(g, False)"),
        ("deposit", "elif anew or not (", "elif (anew and gradient.needs_grad) or not ("),
        ("deposit", "or is_writable(old.array))", "or True)"),
    ),
    "autograd.hooks": (
        ("_run", "list(self.seeing.values())", "self.seeing.values()"),
        ("deposited", "list(self.waiting.values())", "self.waiting.values()"),
        ("register_hook", "self.grad_fn or self", "self"),
    ),
    "autograd.requests": (
        ("_cotangent", "if g.array.dtype == out.array.dtype else g.to(out.array.dtype)", ""),
        ("_for_each", "result[i] = own(gradient, True)", "pass"),
    ),
    "autograd.views": (("refresh", "x.needs_grad = self.inherits = base.needs_grad", "x.needs_grad = self.inherits = True"),),
    "backend": (
        ("overlaps_itself", "if step < reach:", "if not step:"),
        ("overlaps_itself", "abs(step), n) for step", "step, n) for step"),
    ),
    "autograd.edits": (
        ("reshape_in_place", "is_stand_in, base, steps = x.view_of.is_stand_in,", "is_stand_in, base, steps = False,"),
    ),
    "autograd.tensor_methods": (
        (
            "__deepcopy__",
            "copy._grad = None if self._grad is None else self._grad.__deepcopy__(memo)",
            "copy._grad = self._grad",
        ),
        ("detach_", "self.view_of = self.node = None", "self.node = None"),
    ),
    "autograd.function": (
        ("restored", "if self.version.count != self.count:", "if self.version.count > self.count + 1:"),
        ("apply", "bound.apply_defaults()", "pass"),
        ("apply", "any(out is x for x in inputs)", "False"),
    ),
    "ops.indexing": (("_raw_part", "index.array.copy() if", "index.array if"),),
    "ops.gathering": (
        ("index_select", "index.array.reshape(-1).copy()", "index.array.reshape(-1)"),
        ("gather", "index.array.copy()", "index.array"),
        ("index_add", "index.array.copy()", "index.array"),
    ),
    "ops.padding": (("_padded_along", "n + min(before, 0) + min(after, 0)", "n + min(before, 0)"),),
    "ops.joining": (("_parts", "part.view_of.edit_error = _FROZEN", "pass"),),
    "ops.composed": (
        (
            "cumprod",
            "step = cat([narrow(found, axis, 0, step), later], axis), 2 * step",
            "step = cat([narrow(found, axis, 0, step), later], axis), 3 * step",
        ),
        ("median", "(n - 1) // 2", "n // 2"),
    ),
    "nn.functional.embedding": (("embedding", "padding_idx % rows", "padding_idx"),),
    "nn.functional.pool": (("_first", "last_nan[outputs] == k", "(last_nan[outputs] >= 0)"),),
    "nn.module": (
        ("__setattr__", "kinds.pop(name, None)", "pass"),
        ("__setattr__", "self._non_persistent.discard(name)", "pass"),
        ("to", "for t in (part, part._grad):", "for t in (part,):"),
        ("__call__", "list(self._hooks.values())", "self._hooks.values()"),
        (
            "state_dict",
            "if name not in self._non_persistent:",
            "if name not in self._non_persistent or kind == 'buffer' and prefix:",
        ),
    ),
    "nn.state": (("_take", "current.detach().copy_(value)", "current.data = value.detach()"),),
    "nn.tree": (("_named", "if remove_duplicate:", "if False:"),),
    "checks.arguments": (
        ("_memo_key", "(array.shape, array.dtype, value.needs_grad)", "(array.shape, array.dtype)"),
        ("_match", "fits and (letter", "True or (letter"),
        ("_look", "if rule.choices and value not in rule.choices:", "if False:"),
    ),
    "checks.notes": (("told", "notes.pop()", "pass"), ("without_wrappers", "at.tb_next = inner.tb_next", "at = inner")),
    "optim.state": (
        ("load", "copy.deepcopy(value)", "value"),
        ("_fitted", "return to(value.detach(), p, copy=True)", "return to(value.detach(), p)"),
    ),
    "optim.optimizer": (
        ("add_param_group", 'param_group["params"] = items', "pass"),
        ("state_dict", "dict(s) for p, s", "s for p, s"),
    ),
    "optim.lr_scheduler.rules": (
        ("load_state_dict", "vars(factor).update(copy.deepcopy(attributes))", "pass"),
        ("get_lr", "(self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0", "self.last_epoch - 1 == self.T_max"),
        ("_factor", "min(epoch, self.total_iters)", "epoch"),
    ),
    "optim.lr_scheduler.base": (("_bases", "self.base_lrs += [", "_ = ["),),
    "optim.lr_scheduler.cycles": (("__init__", "scheduler.last_epoch -= 1", "pass"),),
    "data.sampler": (
        ("__iter__", "left -= n", "left = 0"),
        ("__iter__", "len(self) - start", "_AT_ONCE"),
    ),
    "data.loader": (("_next_items", "if not batch or", "if len(batch) < self.batch_size or"),),
    "fast": (("replaceable", "if level not in found:", "if not found:"),),
    "saving": (
        ("_is_kept", "and dtype.isnative", ""),
        ("_write", "_remove_abandoned(path.parent)", "pass"),
        ("_remove_abandoned", "except ProcessLookupError:", "finally:"),
    ),
    "explorer.walk": (
        ("walked", "tuple(gx.shape) != tuple(like.shape)", "False"),
        ("_ended", "leaf.grad if leaf is not None and deposits else None", "final.get(target)"),
        ("_settle", "if t.node is before:", "if t.node is not before:"),
        ("_failed", "version is unfit", "True"),
        ("_enter", "[x for x in leaves if not isinstance(x, Parameter)]", "leaves"),
    ),
    "explorer.lanes": (("places_of", "last[source] == row", "True"),),
    "explorer.values": (("shown_as", "seen[:slices, ::row_step, ::column_step]", "seen[:slices, ::column_step, ::row_step]"),),
    "explorer.sources": (("_textbook", 'isinstance(getattr(called, "op", None), Op)', 'hasattr(called, "op")'),),
    "gradcheck": (
        ("_check_reentrant", "(abs(a - b) <= most).all()", "(abs(a - b) <= 1e9).all()"),
        ("_checked", "if overlaps_itself(tensor.array):", "if False:"),
    ),
}

if __name__ == "__main__":
    sys.exit(plant(MUTANTS, [*SUITE, *MORE, "test_files"]))
