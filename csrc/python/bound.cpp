#include "bound.h"

#include <cstring>
#include <new>

namespace recurra {

Torch torch;
Surroundings surroundings;
Core core;
PyTypeObject *bound_type, *kept_type;

bool Source::unchanged() const {
    DLTensor now;
    // another one, or none, where a parametrization or pruning took it over; the same memory read another way where
    // somebody set `.data` to a transposition
    if (item(owner, name) != tensor || !float_view(tensor, &now) || now.data != data || now.ndim != ndim) return false;
    for (int i = 0; i < ndim; ++i)
        if (now.shape[i] != shape[i] || now.strides[i] != strides[i]) return false;
    return true;
}

static int64_t version_of(PyObject* tensor) {
    static PyObject* const name = PyUnicode_InternFromString("_version");
    const Ref found = attribute(tensor, name);
    const long long version = found ? PyLong_AsLongLong(found.get()) : -1;
    if (PyErr_Occurred()) PyErr_Clear();
    return version;
}

bool Source::written_to() const { return version_of(tensor) != version; }

bool Bound::wants_gradient() const {
    for (Py_ssize_t i = 0; i < sources; ++i)
        if (requires_grad(source[i].tensor)) return true;
    return false;
}

bool Bound::current(PyObject* cell, PyObject* fields) const {
    static PyObject* const options_name = PyUnicode_InternFromString("options");
    static PyObject* const halves_name = PyUnicode_InternFromString("halves");
    static PyObject* const frozen_name = PyUnicode_InternFromString("_frozen");
    if (attribute(cell, options_name).get() != options || attribute(cell, halves_name).get() != halves) return false;
    if (frozen && item(fields, frozen_name) != frozen) return false;
    for (Py_ssize_t i = 0; i < sources; ++i) {
        if (!source[i].unchanged()) return false;
        if (frozen && (source[i].written_to() || requires_grad(source[i].tensor))) return false;
    }
    return true;
}

Ref bound_of(PyObject* fields, int64_t rows, bool packed) {
    static PyObject* const name = PyUnicode_InternFromString("_calls");
    static PyObject* const kinds[] = {PyUnicode_InternFromString("bound"), PyUnicode_InternFromString("packed")};
    PyObject* calls = item(fields, name);
    const Ref found = calls ? attribute(calls, kinds[packed]) : Ref();
    const Ref key(found ? PyLong_FromLongLong(rows) : nullptr);
    return key ? Ref::to(item(found.get(), key.get())) : Ref();
}

bool run_calls(recurra_call* calls, int count, int64_t operations) {
    calls->threads = threads();
    return do_work(operations, [&] { return count == 1 ? core.step(calls) : core.layers(calls, count); }) == 0;
}

Ref make_state(PyObject* type, PyObject* c, PyObject* h) {
    static const auto create = reinterpret_cast<newfunc>(PyType_GetSlot(&PyTuple_Type, Py_tp_new));
    const Ref parts(PyTuple_Pack(2, c, h));
    const Ref arguments(parts ? PyTuple_Pack(1, parts.get()) : nullptr);
    return Ref(arguments ? create(reinterpret_cast<PyTypeObject*>(type), arguments.get(), nullptr) : nullptr);
}

PyObject* Bound::step(void* x, PyObject* state) const {
    PyObject *h = state, *c = nullptr;
    if (state_type) {
        if (reinterpret_cast<PyObject*>(Py_TYPE(state)) != state_type) return nullptr;
        c = PyTuple_GetItem(state, 0);
        h = PyTuple_GetItem(state, 1);
    }
    recurra_call filled = call;
    filled.x.base = x;
    filled.initial[0].base = dense(h, call.B, call.R);
    if (!filled.initial[0].base || (c && !(filled.initial[1].base = dense(c, call.B, call.H)))) return nullptr;
    Ref new_h = empty_like(h, call.B, call.R, &filled.out.base), new_c;
    if (!new_h) return nullptr;
    filled.final[0].base = filled.out.base;
    if (c) {
        new_c = empty_like(c, call.B, call.H, &filled.final[1].base);
        if (!new_c) return nullptr;
    }
    if (!run_calls(&filled, 1, operations(1))) return nullptr;
    if (!c) return PyTuple_Pack(2, new_h.get(), new_h.get());
    const Ref made = make_state(state_type, new_c.get(), new_h.get());
    return made ? PyTuple_Pack(2, new_h.get(), made.get()) : nullptr;
}

// --- the Python type ----------------------------------------------------------------------------------------------------

static bool fill_source(Source* source, PyObject* entry) {
    if (!PyArg_ParseTuple(entry, "OOO", &source->owner, &source->name, &source->tensor)) return false;
    Py_INCREF(source->owner);
    Py_INCREF(source->name);
    Py_INCREF(source->tensor);
    DLTensor view;
    if (!float_view(source->tensor, &view) || view.ndim > 2) {
        PyErr_SetString(PyExc_TypeError, "a parameter is no float32 vector or matrix on the CPU");
        return false;
    }
    source->data = view.data;
    source->version = version_of(source->tensor);
    source->ndim = view.ndim;
    for (int i = 0; i < view.ndim; ++i) {
        source->shape[i] = view.shape[i];
        source->strides[i] = view.strides[i];
    }
    return true;
}

// Copies an array of words to where `place` says for their size; `bytes`: the size that it must have, or -1.
template <class Place>
static bool copy_words(PyObject* words, Py_ssize_t bytes, Place&& place) {
    Py_buffer buffer;
    if (PyObject_GetBuffer(words, &buffer, PyBUF_SIMPLE) != 0) return false;
    const bool fits = bytes < 0 || buffer.len == bytes;
    void* to = fits ? place(buffer.len) : nullptr;
    if (to) std::memcpy(to, buffer.buf, size_t(buffer.len));
    PyBuffer_Release(&buffer);
    if (!fits) PyErr_SetString(PyExc_ValueError, "an argument of another size");
    if (fits && !to) PyErr_NoMemory();
    return to != nullptr;
}

static PyObject* create(PyTypeObject* type, PyObject* args, PyObject*) {
    PyObject *words, *gradients, *sources, *state_type, *options, *halves, *frozen;
    if (!PyArg_ParseTuple(args, "OOO!OOO!O", &words, &gradients, &PyList_Type, &sources, &state_type, &options, &PyBool_Type,
                          &halves, &frozen))
        return nullptr;
    const auto allocate = reinterpret_cast<allocfunc>(PyType_GetSlot(type, Py_tp_alloc));
    Ref self(allocate(type, 0));
    if (!self) return nullptr;
    auto* bound = reinterpret_cast<Bound*>(self.get());
    if (!copy_words(words, sizeof bound->call, [&](Py_ssize_t) { return &bound->call; })) return nullptr;
    const auto keep_gradients = [&](Py_ssize_t bytes) {
        bound->gradients = bytes / Py_ssize_t(sizeof(Gradient));
        return bound->gradient = static_cast<Gradient*>(PyMem_Calloc(size_t(bytes), 1));
    };
    if (!copy_words(gradients, -1, keep_gradients)) return nullptr;
    bound->options = Ref::to(options).release();
    bound->halves = Ref::to(halves).release();
    bound->frozen = frozen == Py_None ? nullptr : Ref::to(frozen).release();
    bound->state_type = state_type == Py_None ? nullptr : Ref::to(state_type).release();
    const Py_ssize_t count = PyList_Size(sources);
    bound->source = static_cast<Source*>(PyMem_Calloc(size_t(count), sizeof(Source)));
    if (!bound->source) return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; ++i) {
        ++bound->sources;
        if (!fill_source(&bound->source[i], PyList_GetItem(sources, i))) return nullptr;
    }
    return self.release();
}

static int traverse(PyObject* self, visitproc visit, void* arg) {
    auto* bound = reinterpret_cast<Bound*>(self);
    Py_VISIT(reinterpret_cast<PyObject*>(Py_TYPE(self)));
    Py_VISIT(bound->options);
    Py_VISIT(bound->frozen);
    Py_VISIT(bound->state_type);
    for (Py_ssize_t i = 0; i < bound->sources; ++i) {
        Py_VISIT(bound->source[i].owner);
        Py_VISIT(bound->source[i].tensor);
    }
    return 0;
}

static int clear(PyObject* self) {
    auto* bound = reinterpret_cast<Bound*>(self);
    Py_CLEAR(bound->options);
    Py_CLEAR(bound->halves);
    Py_CLEAR(bound->frozen);
    Py_CLEAR(bound->state_type);
    for (; bound->sources > 0; --bound->sources) {
        Source& source = bound->source[bound->sources - 1];
        Py_CLEAR(source.owner);
        Py_CLEAR(source.name);
        Py_CLEAR(source.tensor);
    }
    return 0;
}

static void destroy(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    PyMem_Free(reinterpret_cast<Bound*>(self)->source);
    PyMem_Free(reinterpret_cast<Bound*>(self)->gradient);
    reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(reinterpret_cast<PyObject*>(type));
}

static PyObject* is_current(PyObject* self, PyObject* cell) {
    const Ref fields(PyObject_GenericGetDict(cell, nullptr));
    return fields ? PyBool_FromLong(reinterpret_cast<Bound*>(self)->current(cell, fields.get())) : nullptr;
}

PyTypeObject* make_bound_type() {
    static PyMethodDef methods[] = {
        {"current", is_current, METH_O, "Whether the cell is still what was bound."},
        {},
    };
    static PyType_Slot slots[] = {
        {Py_tp_doc, const_cast<char*>("Bound(words, gradients, sources, state_type, options, halves, frozen): a call bound to a cell's parameters.")},
        {Py_tp_new, reinterpret_cast<void*>(create)},
        {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
        {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
        {Py_tp_clear, reinterpret_cast<void*>(clear)},
        {Py_tp_methods, methods},
        {},
    };
    static PyType_Spec spec = {"recurra.kernels._binding.Bound", sizeof(Bound), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                               slots};
    return reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
}

}  // namespace recurra
