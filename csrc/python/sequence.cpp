// Layers over a whole sequence in one C call, without gradients: what lies between two layers never becomes a tensor.
#include <vector>

#include "bound.h"
#include "rows.h"

namespace recurra {

namespace {

// Inputs `[T, B, I]`, in the caller's layout.
struct Inputs {
    void* data;
    int64_t T, B, I, t_stride, b_stride;

    // Whether a dense tensor of the caller's layout has its rows where the kernels like them: as the inputs lie.
    bool lie_as_told(bool time_major) const {
        return T == 1 || B == 1 || (time_major ? t_stride >= b_stride : t_stride <= b_stride);
    }
};

bool read_layer_inputs(PyObject* x, bool time_major, Inputs* to) {
    DLTensor view;
    if (!plain_view(x, &view) || view.ndim != 3 || (view.shape[2] != 1 && view.strides[2] != 1)) return false;
    const int t = time_major ? 0 : 1, b = 1 - t;
    *to = {view.data, view.shape[t], view.shape[b], view.shape[2], view.strides[t], view.strides[b]};
    return to->T > 0 && to->B > 0 && to->lie_as_told(time_major);
}

// What a cell has bound for a sequence of so many rows.
Ref bound_for(PyObject* fields, int64_t rows) {
    static PyObject* const frozen = PyUnicode_InternFromString("_frozen");
    return bound_of(fields, rows, item(fields, frozen) != nullptr);
}

// Calls of some cells, one upon the other.
class Layers {
public:
    // False where the Python side must look at them.
    bool bind(PyObject* cells, const Inputs& x, bool gradients) {
        const Py_ssize_t count = PySequence_Size(cells);
        int64_t features = x.I;
        for (Py_ssize_t k = 0; k < count; ++k) {
            const Ref cell(PySequence_GetItem(cells, k));
            const Ref fields(cell ? PyObject_GenericGetDict(cell.get(), nullptr) : nullptr);
            Ref kept = fields ? bound_for(fields.get(), x.B) : Ref();
            if (!kept) return false;
            const Bound& bound = *reinterpret_cast<Bound*>(kept.get());
            if (!bound.current(cell.get(), fields.get()) || bound.call.I != features) return false;
            if (gradients && bound.wants_gradient()) return false;
            features = bound.call.R;
            operations_ += bound.operations(x.T);
            calls_.push_back(bound.call);
            bounds_.push_back(std::move(kept));
        }
        return count > 0;
    }

    // Runs them on x; null with an error set.
    Ref run(const Inputs& x, bool time_major, bool reverse) {
        recurra_call &first = calls_.front(), &last = calls_.back();
        first.T = x.T;
        first.reverse = reverse;
        first.x = {x.data, x.t_stride, x.b_stride};
        const int64_t R = last.R;
        last.out.t_stride = time_major ? x.B * R : R;
        last.out.b_stride = time_major ? R : x.T * R;
        const int64_t shape[] = {time_major ? x.T : x.B, time_major ? x.B : x.T, R};
        Ref out = fresh(shape, 3, &last.out.base);
        return out && run_calls(calls_.data(), int(calls_.size()), operations_) ? std::move(out) : Ref();
    }

    size_t count() const { return calls_.size(); }
    recurra_call& call(size_t k) { return calls_[k]; }
    PyObject* state_type(size_t k) const { return reinterpret_cast<Bound*>(bounds_[k].get())->state_type; }

private:
    std::vector<recurra_call> calls_;
    std::vector<Ref> bounds_;  // for as long as the call runs
    int64_t operations_ = 0;
};

// Fresh final states of every layer, as a list; from zeros.
Ref fresh_states(Layers& layers) {
    Ref states(PyList_New(0));
    for (size_t k = 0; states && k < layers.count(); ++k) {
        recurra_call& call = layers.call(k);
        call.initial[0].base = call.initial[1].base = nullptr;
        Ref state = fresh_state(call, 0, &call.final[0]);
        if (state && layers.state_type(k)) {
            const Ref memory = fresh_state(call, 1, &call.final[1]);
            state = memory ? make_state(layers.state_type(k), memory.get(), state.get()) : Ref();
        }
        if (!state || PyList_Append(states.get(), state.get()) != 0) return Ref();
    }
    return states;
}

// The addresses of a state `[layers, B, n]` in every layer.
void point_parts(Layers& layers, int part, bool final, void* data) {
    char* at = static_cast<char*>(data);
    for (size_t k = 0; k < layers.count(); ++k) {
        recurra_call& call = layers.call(k);
        (final ? call.final : call.initial)[part].base = data ? at : nullptr;
        at += call.B * width_of(call, part) * int64_t(sizeof(float));
    }
}

// Part 0 (h) or 1 (c) of the states of all layers, from `initial` or zeros, to a fresh tensor. Null without an error: the
// initial one is not plain.
Ref stacked_state(Layers& layers, int part, PyObject* initial) {
    const recurra_call& call = layers.call(0);
    const int64_t shape[3] = {int64_t(layers.count()), call.B, width_of(call, part)};
    DLTensor view;
    if (initial) {
        if (!plain_view(initial, &view) || view.ndim != 3) return Ref();
        int64_t dense = 1;
        for (int i = 2; i >= 0; --i) {
            if (view.shape[i] != shape[i] || (shape[i] > 1 && view.strides[i] != dense)) return Ref();
            dense *= shape[i];
        }
    }
    point_parts(layers, part, false, initial ? view.data : nullptr);
    void* data = nullptr;
    Ref made = fresh(shape, 3, &data);
    point_parts(layers, part, true, data);
    return made;
}

// Outputs and stacked states, for recurra.nn.
PyObject* run_stacked(Layers& layers, const Inputs& x, bool time_major, PyObject* initial, bool gradients) {
    const bool has_memory = layers.state_type(0) != nullptr;
    PyObject* parts[2] = {nullptr, nullptr};
    if (initial != Py_None) {
        const bool is_pair = PyTuple_Check(initial) && PyTuple_Size(initial) == 2;
        if (is_pair != has_memory) return Py_NewRef(Py_None);
        for (int part = 0; part < 1 + has_memory; ++part) {
            parts[part] = has_memory ? PyTuple_GetItem(initial, part) : initial;
            if (gradients && requires_grad(parts[part])) return Py_NewRef(Py_None);
        }
    }
    Ref states[2];
    for (int part = 0; part < 1 + has_memory; ++part) {
        states[part] = stacked_state(layers, part, parts[part]);
        if (!states[part]) return PyErr_Occurred() ? nullptr : Py_NewRef(Py_None);
    }
    const Ref out = layers.run(x, time_major, false);
    return out ? PyTuple_Pack(3, out.get(), states[0].get(), has_memory ? states[1].get() : Py_None) : nullptr;
}

}  // namespace

PyObject* layers(PyObject*, PyObject* const* args, Py_ssize_t count) {
    if (count != 4 && count != 5) {
        PyErr_SetString(PyExc_TypeError, "layers takes 4 or 5 arguments");
        return nullptr;
    }
    PyObject *cells = args[0], *x = args[1];
    const bool time_major = args[2] == Py_True, gradients = records_gradients();
    Inputs inputs;
    Layers bound;
    if (!read_layer_inputs(x, time_major, &inputs) || (gradients && requires_grad(x)) || !undisturbed() ||
        !bound.bind(cells, inputs, gradients)) {
        if (PyErr_Occurred()) return nullptr;
        return Py_NewRef(Py_None);
    }
    if (count == 5) return run_stacked(bound, inputs, time_major, args[4], gradients);
    const Ref states = fresh_states(bound);
    const Ref out = states ? bound.run(inputs, time_major, args[3] == Py_True) : Ref();
    return out ? PyTuple_Pack(2, out.get(), states.get()) : nullptr;
}

// sequence(cell, x, state, reverse): (outputs, final state) of a time-major sequence without gradients; or None.
PyObject* sequence(PyObject*, PyObject* const* args, Py_ssize_t count) {
    if (count != 4) {
        PyErr_SetString(PyExc_TypeError, "sequence(cell, x, state, reverse)");
        return nullptr;
    }
    PyObject *cell = args[0], *x = args[1], *state = args[2];
    DLTensor view;
    if (!plain_view(x, &view) || view.ndim != 3) return Py_NewRef(Py_None);
    const Ref fields(PyObject_GenericGetDict(cell, nullptr));
    if (!fields) return nullptr;
    const Ref kept = bound_for(fields.get(), view.shape[1]);
    if (!kept || !undisturbed()) return Py_NewRef(Py_None);
    const Bound& bound = *reinterpret_cast<Bound*>(kept.get());
    PyObject* parts[2] = {state, nullptr};  // h, c
    if (bound.state_type) {
        if (reinterpret_cast<PyObject*>(Py_TYPE(state)) != bound.state_type) return Py_NewRef(Py_None);
        for (int part = 0; part < 2; ++part) parts[part] = PyTuple_GetItem(state, 1 - part);
    }
    recurra_call call = bound.call;
    call.reverse = args[3] == Py_True;
    if (!bound.current(cell, fields.get()) || !read_inputs(x, &call)) return Py_NewRef(Py_None);
    const bool gradients = records_gradients();
    if (gradients && (requires_grad(x) || bound.wants_gradient())) return Py_NewRef(Py_None);
    Ref finals[2];
    for (int part = 0; part < 2 && parts[part]; ++part) {
        if (!read_state(call, part, parts[part], &call.initial[part]) || parts[part] == Py_None) return Py_NewRef(Py_None);
        if (gradients && requires_grad(parts[part])) return Py_NewRef(Py_None);
    }
    for (int part = 0; part < 2 && parts[part]; ++part) {
        finals[part] = fresh_state(call, part, &call.final[part]);
        if (!finals[part]) return nullptr;
    }
    const Ref out = fresh_like_rows(call, call.R, &call.out);
    if (!out || !run_calls(&call, 1, bound.operations(call.T))) return nullptr;
    const Ref final = bound.state_type ? make_state(bound.state_type, finals[1].get(), finals[0].get()) : std::move(finals[0]);
    return final ? PyTuple_Pack(2, out.get(), final.get()) : nullptr;
}

}  // namespace recurra
