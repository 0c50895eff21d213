// What goes on around a call: whether gradients are recorded, whether somebody watches or replaces torch's operators.
// The Python side's questions (recurra.kernels.dispatch, prepared), asked without its frames.
#pragma once
#include "object.h"

namespace recurra {

struct Surroundings {
    // torch's functions of no arguments, and what counts as a yes
    PyObject *grad_enabled, *interpreter, *dispatch_modes, *tracing, *plain_only, *num_threads;
    PyObject* forward_ad;  // the module's dictionary
    PyObject* recorders;   // a list, see recurra.kernels.decisions
    bool serial = false;   // in a forked child, which has no team of threads
};
extern Surroundings surroundings;

// Whether a function of no arguments says yes; an error counts as one.
inline bool says_yes(PyObject* function) {
    const Ref answer(PyObject_CallNoArgs(function));
    if (answer.get() == Py_False || answer.get() == Py_None) return false;
    const int yes = answer ? PyObject_IsTrue(answer.get()) : -1;
    if (yes < 0) PyErr_Clear();
    return yes != 0;
}

inline bool records_gradients() { return says_yes(surroundings.grad_enabled); }

// As recurra.kernels.prepared.undisturbed: no transform, nobody who records operators or listens for decisions.
inline bool undisturbed() {
    static PyObject* const level = PyUnicode_InternFromString("_current_level");
    PyObject* forward_level = item(surroundings.forward_ad, level);
    return PyList_Size(surroundings.recorders) == 0 && forward_level && PyLong_AsLong(forward_level) < 0 &&
           !says_yes(surroundings.interpreter) && !says_yes(surroundings.plain_only) &&
           !says_yes(surroundings.dispatch_modes) && !says_yes(surroundings.tracing);
}

inline int64_t threads() {
    if (surroundings.serial) return 1;
    const Ref count(PyObject_CallNoArgs(surroundings.num_threads));
    const long long found = count ? PyLong_AsLongLong(count.get()) : 1;
    return found > 0 ? found : 1;
}

}  // namespace recurra
