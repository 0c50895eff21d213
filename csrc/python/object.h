// Python objects in C++: a reference that lets go by itself, and names looked up often.
#pragma once
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <utility>

namespace recurra {

// An owned reference, or null.
class Ref {
public:
    Ref() = default;
    explicit Ref(PyObject* owned) : at_(owned) {}
    static Ref to(PyObject* borrowed) {
        Py_XINCREF(borrowed);
        return Ref(borrowed);
    }
    Ref(Ref&& other) noexcept : at_(other.release()) {}
    Ref& operator=(Ref&& other) noexcept {
        std::swap(at_, other.at_);
        return *this;
    }
    ~Ref() { Py_XDECREF(at_); }

    PyObject* get() const { return at_; }
    PyObject* release() { return std::exchange(at_, nullptr); }
    explicit operator bool() const { return at_ != nullptr; }

private:
    PyObject* at_ = nullptr;
};

// An attribute; its error is dropped: no such attribute is the answer no.
inline Ref attribute(PyObject* owner, PyObject* name) {
    Ref found(PyObject_GetAttr(owner, name));
    if (!found) PyErr_Clear();
    return found;
}

// A dictionary's value, borrowed, or null.
inline PyObject* item(PyObject* dictionary, PyObject* key) {
    PyObject* found = PyDict_GetItemWithError(dictionary, key);
    if (!found) PyErr_Clear();
    return found;
}

}  // namespace recurra
