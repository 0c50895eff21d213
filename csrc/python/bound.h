// A call of the kernels bound to a cell's parameters: the argument, filled in for a number of rows but for the addresses of
// inputs, states and outputs, and what must still be so for it to hold.
#pragma once
#include "../core/call.h"
#include "surroundings.h"
#include "tensor.h"

namespace recurra {

// The core's functions, by their addresses; the Python side loads the library.
struct Core {
    int (*step)(recurra_call*);
    int (*layers)(recurra_call*, int);
    int (*forward)(recurra_call*, int);
    int (*backward)(const recurra_call*);
    void (*release)(void*);
    PyObject* check;  // raises for a status that is not 0
};
extern Core core;

// A parameter, and where and how it lay.
struct Source {
    PyObject *owner, *name, *tensor;  // the module's dictionary of parameters, the name in it
    void* data;
    int32_t ndim;
    int64_t shape[2], strides[2];
    int64_t version;

    bool unchanged() const;
    bool written_to() const;  // as autograd counts
};

// Where the address of a part of a parameter's gradient belongs in the call.
struct Gradient {
    int64_t word, tensor, offset;
};

struct Bound {
    PyObject_HEAD
    recurra_call call;
    PyObject *options, *halves;  // the cell's, by identity
    PyObject* frozen;            // the packed weights in use, or null
    PyObject* state_type;        // of a state (c, h); null: h alone
    Py_ssize_t sources;
    Source* source;
    Py_ssize_t gradients;
    Gradient* gradient;  // by places among the cell's parameters, absent ones included

    // Whether the cell, whose own fields are given, is still what was bound.
    bool current(PyObject* cell, PyObject* fields) const;
    bool wants_gradient() const;
    int64_t operations(int64_t steps) const { return steps * call.B * (call.I + call.R) * call.H; }
    // Runs the call with what the caller filled in; false with an error set.
    bool run(recurra_call* filled) const;
    // (output, new state) of one step without gradients; null without an error where the state is not plain.
    PyObject* step(void* x, PyObject* state) const;
};

// A state as its type, a named tuple, creates it.
Ref make_state(PyObject* type, PyObject* c, PyObject* h);
// Does some work, letting other Python threads run meanwhile where it takes long; its status, with an error set unless 0.
template <class Work>
int do_work(int64_t operations, Work&& work) {
    constexpr int64_t few = 1 << 19;  // some tens of microseconds, of which to let others run takes a part
    int status;
    if (operations > few) {
        Py_BEGIN_ALLOW_THREADS
        status = work();
        Py_END_ALLOW_THREADS
    } else {
        status = work();
    }
    if (status) const Ref raised(PyObject_CallFunction(core.check, "i", status));
    return status;
}
// Runs calls one behind the other; false with an error set.
bool run_calls(recurra_call* calls, int count, int64_t operations);
// The call that a cell has bound for so many rows, from its packed weights where it has some; null: none.
Ref bound_of(PyObject* fields, int64_t rows, bool packed);

PyTypeObject* make_bound_type();
PyTypeObject* make_stream_type();
PyTypeObject* make_kept_type();
// The module's functions, see binding.cpp.
PyObject* layers(PyObject*, PyObject* const* args, Py_ssize_t count);
PyObject* sequence(PyObject*, PyObject* const* args, Py_ssize_t count);
PyObject* forward(PyObject*, PyObject* const* args, Py_ssize_t count);
PyObject* backward(PyObject*, PyObject* const* args, Py_ssize_t count);
extern PyTypeObject *bound_type, *kept_type;

}  // namespace recurra
