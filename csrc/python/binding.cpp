// The module `recurra.kernels._binding`: calls of the kernels without Python's frames and without ctypes. Python's stable ABI
// (3.11 on) and DLPack's exchange table are all that it knows of Python and torch; the core stays a plain C library, whose
// functions it is given. Where it is missing, recurra.kernels does the same in Python.
#include "../core/abi.h"
#include "bound.h"

namespace recurra {

// Bumped whenever what Python calls here changes; recurra.kernels.binding leaves another number alone.
constexpr long revision = 1;

// What LeafCell.__call__ runs first.
struct Leaf {
    PyObject *forward, *draws;                   // LeafCell's own
    PyObject *hooks, *pre_hooks;                 // nn.Module's for all modules
};
static Leaf leaf;

// Whether a call of this cell is its class' own step and nothing else: no hooks, no masks, no equation of a subclass.
static bool unobserved(PyObject* cell, PyObject* fields) {
    static PyObject* const hooks = PyUnicode_InternFromString("_forward_hooks");
    static PyObject* const pre_hooks = PyUnicode_InternFromString("_forward_pre_hooks");
    static PyObject* const forward = PyUnicode_InternFromString("forward");
    static PyObject* const own = PyUnicode_InternFromString("_own_equation");
    static PyObject* const draws = PyUnicode_InternFromString("_draws");
    PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(cell));
    for (PyObject* name : {hooks, pre_hooks}) {
        PyObject* found = item(fields, name);
        if (!found || PyObject_Size(found) != 0) return false;
    }
    return PyObject_Size(leaf.hooks) == 0 && PyObject_Size(leaf.pre_hooks) == 0 && !item(fields, forward) &&
           attribute(type, forward).get() == leaf.forward && attribute(type, own).get() == Py_False &&
           attribute(type, draws).get() == leaf.draws;
}

// step(cell, x, state): (output, new state) without gradients, or None where the Python side must look at the call.
static PyObject* step(PyObject*, PyObject* const* args, Py_ssize_t count) {
    if (count != 3 || records_gradients()) return Py_NewRef(Py_None);
    PyObject *cell = args[0], *x = args[1];
    DLTensor view;
    if (Py_TYPE(x) != reinterpret_cast<PyTypeObject*>(torch.tensor) || !float_view(x, &view) || view.ndim != 2) return Py_NewRef(Py_None);
    const Ref fields(PyObject_GenericGetDict(cell, nullptr));
    if (!fields) return nullptr;
    const Ref kept = bound_of(fields.get(), view.shape[0], false);
    if (!kept || !unobserved(cell, fields.get()) || !undisturbed()) return Py_NewRef(Py_None);
    const Bound& bound = *reinterpret_cast<Bound*>(kept.get());
    void* input = bound.current(cell, fields.get()) ? dense(x, bound.call.B, bound.call.I) : nullptr;
    PyObject* result = input ? bound.step(input, args[2]) : nullptr;
    return result || PyErr_Occurred() ? result : Py_NewRef(Py_None);
}

static PyObject* is_undisturbed(PyObject*, PyObject*) { return PyBool_FromLong(undisturbed()); }

static PyObject* set_serial(PyObject*, PyObject*) {
    surroundings.serial = true;
    return Py_NewRef(Py_None);
}

// A named thing of those that `attach` is given, kept for good; null with an error set.
static bool take(PyObject* given, const char* name, PyObject** to) {
    PyObject* found = PyDict_GetItemString(given, name);
    if (!found) {
        PyErr_Format(PyExc_KeyError, "%s", name);
        return false;
    }
    *to = Ref::to(found).release();
    return true;
}

// A function of the core, given by its address.
template <class Function>
static bool take_function(PyObject* given, const char* name, Function** to) {
    PyObject* at;
    if (!take(given, name, &at)) return false;
    *to = reinterpret_cast<Function*>(PyLong_AsVoidPtr(at));
    return *to != nullptr;
}

// attach(given): what the module is to know of torch, of recurra and of the core, by name. False where this torch gives no
// addresses through DLPack's table.
static PyObject* attach(PyObject*, PyObject* given) {
    struct {
        const char* name;
        PyObject** to;
    } const objects[] = {
        {"tensor", &torch.tensor},
        {"is_neg", &torch.is_neg},
        {"empty_like", &torch.empty_like},
        {"empty", &torch.empty},
        {"small", &torch.small},
        {"large", &torch.large},
        {"grad_enabled", &surroundings.grad_enabled},
        {"interpreter", &surroundings.interpreter},
        {"dispatch_modes", &surroundings.dispatch_modes},
        {"tracing", &surroundings.tracing},
        {"plain_only", &surroundings.plain_only},
        {"num_threads", &surroundings.num_threads},
        {"forward_ad", &surroundings.forward_ad},
        {"recorders", &surroundings.recorders},
        {"hooks", &leaf.hooks},
        {"pre_hooks", &leaf.pre_hooks},
        {"check", &core.check},
    };
    for (const auto& object : objects)
        if (!take(given, object.name, object.to)) return nullptr;
    PyObject* exchange;
    if (!take(given, "exchange", &exchange) || !take_function(given, "recurra_step", &core.step) ||
        !take_function(given, "recurra_layers", &core.layers) || !take_function(given, "recurra_forward", &core.forward) ||
        !take_function(given, "recurra_backward", &core.backward) || !take_function(given, "recurra_release", &core.release))
        return nullptr;
    const auto* table = static_cast<const DLExchange*>(PyCapsule_GetPointer(exchange, "dlpack_exchange_api"));
    if (!table) return nullptr;
    torch.view = table->version.major == 1 ? table->view : nullptr;
    return PyBool_FromLong(torch.view != nullptr);
}

// attach_leaf(forward, draws): LeafCell's own methods.
static PyObject* attach_leaf(PyObject*, PyObject* args) {
    if (!PyArg_ParseTuple(args, "OO", &leaf.forward, &leaf.draws)) return nullptr;
    Py_INCREF(leaf.forward);
    Py_INCREF(leaf.draws);
    return Py_NewRef(Py_None);
}

static PyMethodDef functions[] = {
    {"attach", attach, METH_O, "attach(given): what the module is to know of torch, recurra and the core."},
    {"attach_leaf", attach_leaf, METH_VARARGS, "attach_leaf(forward, draws): LeafCell's own methods."},
    {"step", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(step)), METH_FASTCALL,
     "step(cell, x, state): (output, new state) without gradients, or None: the Python side must look at the call."},
    {"layers", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(layers)), METH_FASTCALL,
     "layers(cells, x, time_major, reverse): (outputs, [state, ...]) from zeros without gradients, or None. "
     "layers(cells, x, time_major, None, initial): (outputs, h, c or None), states stacked, from zeros or `initial`."},
    {"sequence", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(sequence)), METH_FASTCALL,
     "sequence(cell, x, state, reverse): (outputs, final state) of a time-major sequence without gradients; or None."},
    {"forward", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(forward)), METH_FASTCALL,
     "forward(bound, reverse, x, states): (what backward needs, outputs, h or h, c) of a time-major sequence; or None."},
    {"backward", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(backward)), METH_FASTCALL,
     "backward(kept, outputs, x, tensors, grads, wanted): gradients of x and of the tensors, states first; or None."},
    {"undisturbed", is_undisturbed, METH_NOARGS, "Whether nobody watches or replaces torch's operators."},
    {"set_serial", set_serial, METH_NOARGS, "Compute on one thread from now on."},
    {},
};

static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_binding", "Calls of the kernels without Python's frames.", -1, functions,
                                 nullptr, nullptr, nullptr, nullptr};

}  // namespace recurra

PyMODINIT_FUNC PyInit__binding() {
    using namespace recurra;
    Ref module(PyModule_Create(&definition));
    bound_type = make_bound_type();
    kept_type = make_kept_type();
    PyTypeObject* stream_type = make_stream_type();
    if (!module || !bound_type || !kept_type || !stream_type || PyModule_AddType(module.get(), bound_type) != 0 ||
        PyModule_AddType(module.get(), stream_type) != 0 ||
        PyModule_AddIntConstant(module.get(), "ABI", RECURRA_ABI) != 0 ||
        PyModule_AddIntConstant(module.get(), "REVISION", revision) != 0)
        return nullptr;
    return module.release();
}
