// A sequence of one cell forward, keeping what backward needs, and its gradients: the bodies of an autograd.Function
// (recurra.kernels.trained).
#include "bound.h"
#include "rows.h"

namespace recurra {

namespace {

// What a forward call keeps: its argument, with the addresses of its tensors, and the block that the core filled.
struct Kept {
    PyObject_HEAD
    recurra_call call;
    PyObject* bound;
    void* pointer;  // of the block
};

Kept* kept_of(PyObject* self) { return reinterpret_cast<Kept*>(self); }

void destroy(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    core.release(kept_of(self)->pointer);
    Py_XDECREF(kept_of(self)->bound);
    reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(reinterpret_cast<PyObject*>(type));
}

PyObject* pointer_of(PyObject* self, void*) { return PyLong_FromVoidPtr(kept_of(self)->pointer); }

// Whether the tensors lie where they lay in the forward call.
bool lie_there(const Kept& kept, PyObject* outputs, PyObject* x, PyObject* tensors, int states) {
    const Bound& bound = *reinterpret_cast<Bound*>(kept.bound);
    recurra_rows now;
    if (!read_rows(outputs, &now) || now.base != kept.call.out.base) return false;
    if (!read_rows(x, &now) || now.base != kept.call.x.base) return false;
    Py_ssize_t source = 0;
    for (Py_ssize_t i = 0; i < PyList_Size(tensors); ++i) {
        PyObject* tensor = PyList_GetItem(tensors, i);
        if (i < states) {
            if (!read_state(kept.call, int(i), tensor, &now) || now.base != kept.call.initial[i].base) return false;
        } else if (tensor != Py_None) {
            DLTensor view;
            if (!float_view(tensor, &view) || view.data != bound.source[source++].data) return false;
        }
    }
    return true;
}

// A gradient that came in, its rows as the kernels read them; the copy, if it took one, is kept in `copy`.
bool read_gradient(PyObject* grad, recurra_rows* rows, Ref* copy) {
    rows->base = nullptr;
    if (grad == Py_None || read_rows(grad, rows)) return true;
    *copy = Ref(PyObject_CallMethod(grad, "contiguous", nullptr));
    return *copy && read_rows(copy->get(), rows);
}

// Fresh gradients of the parameters that want one, appended to `found`; false with an error set.
bool point_parameters(const Bound& bound, PyObject* tensors, PyObject* wanted, int states, recurra_call* call, PyObject* found) {
    constexpr Py_ssize_t most = 32;  // parameters of a cell
    char* base[most] = {};
    const Py_ssize_t count = PyList_Size(tensors) - states;
    if (count > most) {
        PyErr_SetString(PyExc_ValueError, "too many parameters");
        return false;
    }
    Py_ssize_t source = 0;
    for (Py_ssize_t i = 0; i < count; ++i) {
        Ref made = Ref::to(Py_None);
        if (PyList_GetItem(tensors, states + i) != Py_None) {
            const Source& of = bound.source[source++];
            if (PyTuple_GetItem(wanted, 1 + states + i) == Py_True) {
                void* data = nullptr;
                made = fresh(of.shape, of.ndim, &data);
                base[i] = static_cast<char*>(data);
            }
        }
        if (!made || PyList_Append(found, made.get()) != 0) return false;
    }
    auto* words = reinterpret_cast<int64_t*>(call);
    for (Py_ssize_t i = 0; i < bound.gradients; ++i) {
        const Gradient& g = bound.gradient[i];
        if (g.tensor < count && base[g.tensor]) words[g.word] = reinterpret_cast<int64_t>(base[g.tensor] + g.offset);
    }
    return true;
}

}  // namespace

PyObject* forward(PyObject*, PyObject* const* args, Py_ssize_t count) {
    if (count != 4 || Py_TYPE(args[0]) != bound_type || !PyTuple_Check(args[3])) {
        PyErr_SetString(PyExc_TypeError, "forward(bound, reverse, x, states)");
        return nullptr;
    }
    const Bound& bound = *reinterpret_cast<Bound*>(args[0]);
    const int states = int(PyTuple_Size(args[3]));
    recurra_call call = bound.call;
    if (!read_inputs(args[2], &call) || states > 2) return Py_NewRef(Py_None);
    call.reverse = args[1] == Py_True;
    for (int part = 0; part < states; ++part)
        if (!read_state(call, part, PyTuple_GetItem(args[3], part), &call.initial[part])) return Py_NewRef(Py_None);
    const auto allocate = reinterpret_cast<allocfunc>(PyType_GetSlot(kept_type, Py_tp_alloc));
    const Ref kept(allocate(kept_type, 0));
    const Ref out = kept ? fresh_like_rows(call, call.R, &call.out) : Ref();
    const Ref results(out ? PyTuple_New(2 + states) : nullptr);
    if (!results) return nullptr;
    for (int part = 0; part < states; ++part) {
        Ref final = fresh_state(call, part, &call.final[part]);
        if (!final || PyTuple_SetItem(results.get(), 2 + part, final.release()) != 0) return nullptr;
    }
    call.threads = threads();
    if (do_work(bound.operations(call.T), [&] { return core.forward(&call, 1); }) != 0) return nullptr;
    Kept& keeps = *kept_of(kept.get());
    keeps.call = call;
    keeps.pointer = call.reserve;
    keeps.bound = Py_NewRef(args[0]);
    PyTuple_SetItem(results.get(), 0, Py_NewRef(kept.get()));
    PyTuple_SetItem(results.get(), 1, Py_NewRef(out.get()));
    return Py_NewRef(results.get());
}

PyObject* backward(PyObject*, PyObject* const* args, Py_ssize_t count) {
    if (count != 6 || Py_TYPE(args[0]) != kept_type || !PyList_Check(args[3]) || !PyTuple_Check(args[4]) || !PyTuple_Check(args[5])) {
        PyErr_SetString(PyExc_TypeError, "backward(kept, outputs, x, tensors, grads, wanted)");
        return nullptr;
    }
    const Kept& kept = *kept_of(args[0]);
    const Bound& bound = *reinterpret_cast<Bound*>(kept.bound);
    PyObject *tensors = args[3], *grads = args[4], *wanted = args[5];
    const int states = int(PyTuple_Size(grads)) - 1;
    if (!lie_there(kept, args[1], args[2], tensors, states)) return Py_NewRef(Py_None);
    recurra_call call = kept.call;
    call.threads = threads();  // not forward's: this may be another process, after a fork
    Ref copies[3];
    for (int i = 0; i <= states; ++i) {
        recurra_rows* rows = i == 0 ? &call.d_out : &call.d_final[i - 1];
        if (!read_gradient(PyTuple_GetItem(grads, i), rows, &copies[i])) return PyErr_Occurred() ? nullptr : Py_NewRef(Py_None);
    }
    const Ref found(PyList_New(0));
    for (int i = 0; found && i <= states; ++i) {
        Ref made = Ref::to(Py_None);
        if (PyTuple_GetItem(wanted, i) == Py_True)
            made = i == 0 ? fresh_like_rows(call, call.I, &call.d_x) : fresh_state(call, i - 1, &call.d_initial[i - 1]);
        if (!made || PyList_Append(found.get(), made.get()) != 0) return nullptr;
    }
    if (!found || !point_parameters(bound, tensors, wanted, states, &call, found.get())) return nullptr;
    if (do_work(2 * bound.operations(call.T), [&] { return core.backward(&call); }) != 0) return nullptr;
    return Py_NewRef(found.get());
}

PyTypeObject* make_kept_type() {
    static PyGetSetDef fields[] = {{"pointer", pointer_of, nullptr, "Of the block that the core filled.", nullptr}, {}};
    static PyType_Slot slots[] = {
        {Py_tp_doc, const_cast<char*>("What a forward call keeps for its backward.")},
        {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
        {Py_tp_getset, fields},
        {},
    };
    static PyType_Spec spec = {"recurra.kernels._binding.Kept", sizeof(Kept), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    return reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
}

}  // namespace recurra
