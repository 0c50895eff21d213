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
    PyObject* check;  // raises for a status that is not 0
};
extern Core core;

// A parameter, and where and how it lay.
struct Source {
    PyObject *owner, *name, *tensor;  // the module's dictionary of parameters, the name in it
    void* data;
    int32_t ndim;
    int64_t shape[2], strides[2];

    bool unchanged() const;
};

struct Bound {
    PyObject_HEAD
    recurra_call call;
    PyObject* options;     // the cell's, by identity
    PyObject* state_type;  // of a state (c, h); null: h alone
    Py_ssize_t sources;
    Source* source;
    bool heavy;  // long enough for other Python threads to run meanwhile

    bool current(PyObject* cell) const;
    // Runs the call with what the caller filled in; false with an error set.
    bool run(recurra_call* filled) const;
    // (output, new state) of one step without gradients; null without an error where the state is not plain.
    PyObject* step(void* x, PyObject* state) const;
};

PyTypeObject* make_bound_type();
PyTypeObject* make_stream_type();
extern PyTypeObject* bound_type;

}  // namespace recurra
