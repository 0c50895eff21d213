// Sequences and states as the kernels' rows: read from tensors, and fresh ones.
#pragma once
#include "bound.h"

namespace recurra {

// Rows `[T, B, n]` or `[B, n]` whose features lie side by side; false where they do not.
inline bool read_rows(PyObject* tensor, recurra_rows* rows) {
    DLTensor view;
    if (!plain_view(tensor, &view) || view.ndim < 2 || view.ndim > 3) return false;
    const int last = view.ndim - 1;
    if (view.shape[last] != 1 && view.strides[last] != 1) return false;
    *rows = {view.data, view.ndim == 3 ? view.strides[0] : 0, view.strides[last - 1]};
    return true;
}

// A fresh `[T, B, n]`, batch-major in memory where the rows of x are so.
inline Ref fresh_like_rows(const recurra_call& call, int64_t features, recurra_rows* rows) {
    const bool batch_major = call.x.t_stride < call.x.b_stride;
    const int64_t shape[] = {batch_major ? call.B : call.T, batch_major ? call.T : call.B, features};
    Ref made = fresh(shape, 3, &rows->base);
    rows->t_stride = batch_major ? features : call.B * features;
    rows->b_stride = batch_major ? call.T * features : features;
    return batch_major && made ? Ref(PyObject_CallMethod(made.get(), "transpose", "ii", 0, 1)) : std::move(made);
}

inline int64_t width_of(const recurra_call& call, int part) { return part == 0 ? call.R : call.H; }

inline Ref fresh_state(const recurra_call& call, int part, recurra_rows* rows) {
    const int64_t shape[] = {call.B, width_of(call, part)};
    rows->t_stride = 0;
    rows->b_stride = shape[1];
    return fresh(shape, 2, &rows->base);
}

// The address of an initial state; false where it is not plain. None: zeros.
inline bool read_state(const recurra_call& call, int part, PyObject* state, recurra_rows* rows) {
    rows->base = state == Py_None ? nullptr : dense(state, call.B, width_of(call, part));
    rows->b_stride = width_of(call, part);
    return state == Py_None || rows->base;
}

// Inputs `[T, B, I]` of a call for so many rows and features; false where they are others, or not plain.
inline bool read_inputs(PyObject* x, recurra_call* call) {
    DLTensor view;
    if (!read_rows(x, &call->x) || !float_view(x, &view) || view.ndim != 3) return false;
    call->T = view.shape[0];
    return call->T > 0 && view.shape[1] == call->B && view.shape[2] == call->I;
}

}  // namespace recurra
