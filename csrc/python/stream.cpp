// A stream of steps in one C call each: the state stays where it is, in the stepper's buffers.
#include "bound.h"

namespace recurra {

// What a KernelStepper (recurra.kernels.step) is underneath. What its call does not know, its method `step` does.
struct Stream {
    PyObject_HEAD
    PyObject *bound, *cell, *like;  // null until `bind`
    void* buffer[2];                // of h and c
};

static Stream* stream_of(PyObject* self) { return reinterpret_cast<Stream*>(self); }

static PyObject* step_slowly(PyObject* self, PyObject* x) {
    static PyObject* const name = PyUnicode_InternFromString("step");
    return PyObject_CallMethodObjArgs(self, name, x, nullptr);
}

static PyObject* call(PyObject* self, PyObject* args, PyObject* named) {
    PyObject* x;
    static const char* names[] = {"x", nullptr};
    if (!named && PyTuple_Size(args) == 1)
        x = PyTuple_GetItem(args, 0);
    else if (!PyArg_ParseTupleAndKeywords(args, named, "O", const_cast<char**>(names), &x))
        return nullptr;
    const Stream& stream = *stream_of(self);
    if (!stream.bound) return step_slowly(self, x);
    const Ref kept = Ref::to(stream.bound);
    const Bound& bound = *reinterpret_cast<Bound*>(kept.get());
    const Ref fields(PyObject_GenericGetDict(stream.cell, nullptr));
    if (!fields) return nullptr;
    void* input = bound.current(stream.cell, fields.get()) ? dense(x, bound.call.B, bound.call.I) : nullptr;
    if (!input) return step_slowly(self, x);
    recurra_call filled = bound.call;
    filled.x.base = input;
    for (int i = 0; i < 2; ++i) filled.initial[i].base = filled.final[i].base = stream.buffer[i];
    Ref out = empty_like(stream.like, bound.call.B, bound.call.R, &filled.out.base);
    return out && run_calls(&filled, 1, bound.operations(1)) ? out.release() : nullptr;
}

// bind(bound, cell, h, c or None): the call and the buffers of the state.
static PyObject* bind(PyObject* self, PyObject* args) {
    PyObject *bound, *cell, *h, *c;
    if (!PyArg_ParseTuple(args, "O!OOO", bound_type, &bound, &cell, &h, &c)) return nullptr;
    const recurra_call& sizes = reinterpret_cast<Bound*>(bound)->call;
    void* buffer[2] = {dense(h, sizes.B, sizes.R), c == Py_None ? nullptr : dense(c, sizes.B, sizes.H)};
    if (!buffer[0] || (c != Py_None && !buffer[1])) {
        PyErr_SetString(PyExc_TypeError, "the buffers of a state must be dense float32 tensors");
        return nullptr;
    }
    Stream& stream = *stream_of(self);
    const Ref before[] = {Ref(stream.bound), Ref(stream.cell), Ref(stream.like)};
    stream.bound = Ref::to(bound).release();
    stream.cell = Ref::to(cell).release();
    stream.like = Ref::to(h).release();
    stream.buffer[0] = buffer[0];
    stream.buffer[1] = buffer[1];
    return Ref::to(Py_None).release();
}

static int traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(reinterpret_cast<PyObject*>(Py_TYPE(self)));
    Py_VISIT(stream_of(self)->bound);
    Py_VISIT(stream_of(self)->cell);
    Py_VISIT(stream_of(self)->like);
    return 0;
}

static int clear(PyObject* self) {
    Py_CLEAR(stream_of(self)->bound);
    Py_CLEAR(stream_of(self)->cell);
    Py_CLEAR(stream_of(self)->like);
    return 0;
}

static void destroy(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(reinterpret_cast<PyObject*>(type));
}

PyTypeObject* make_stream_type() {
    static PyMethodDef methods[] = {
        {"bind", bind, METH_VARARGS, "bind(bound, cell, h, c): the call, and the buffers of the state."},
        {},
    };
    static PyType_Slot slots[] = {
        {Py_tp_doc, const_cast<char*>("The call of a stepper; what it does not know, its method `step` does.")},
        {Py_tp_call, reinterpret_cast<void*>(call)},
        {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
        {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
        {Py_tp_clear, reinterpret_cast<void*>(clear)},
        {Py_tp_methods, methods},
        {},
    };
    static PyType_Spec spec = {"recurra.kernels._binding.Stream", sizeof(Stream), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};
    return reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
}

}  // namespace recurra
