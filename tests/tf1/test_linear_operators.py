"""tf.linalg.LinearOperator…; expected values by NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import recurra.tf1 as tf

MATRIX = np.array([[2.0, 5.0, 7.0], [3.0, -4.0, 9.0], [1.0, 2.0, 8.0]])
VECTOR = np.array([1.0, -2.0, 0.5])


def operators():
    linalg = tf.linalg
    return {
        "full": (linalg.LinearOperatorFullMatrix(MATRIX), MATRIX),
        "lower": (linalg.LinearOperatorLowerTriangular(MATRIX), np.tril(MATRIX)),
        "diagonal": (linalg.LinearOperatorDiag(np.diag(MATRIX)), np.diag(np.diag(MATRIX))),
    }


@pytest.mark.parametrize("kind", ["full", "lower", "diagonal"])
def test_operators_are_their_matrices(kind):
    with tf.Graph().as_default(), tf.Session() as session:
        operator, dense = operators()[kind]
        pairs = [
            (operator.to_dense(), dense),
            (operator.matvec(VECTOR), dense @ VECTOR),
            (operator.matmul(MATRIX, adjoint=True), dense.T @ MATRIX),
            (operator.solve(MATRIX), np.linalg.solve(dense, MATRIX)),
            (operator.solve(MATRIX, adjoint=True, adjoint_arg=True), np.linalg.solve(dense.T, MATRIX.T)),
            (operator.solvevec(VECTOR), np.linalg.solve(dense, VECTOR)),
            (operator.diag_part(), np.diag(dense)),
            (operator.trace(), np.trace(dense)),
            (operator.determinant(), np.linalg.det(dense)),
            (operator.log_abs_determinant(), np.log(abs(np.linalg.det(dense)))),
            (operator.add_to_tensor(MATRIX), dense + MATRIX),
        ]
        for got, wanted in zip(session.run([p[0] for p in pairs]), [p[1] for p in pairs], strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)
        assert operator.shape.as_list() == [3, 3] and operator.domain_dimension == 3
        assert operator.is_square


def test_the_mask_of_a_transformer():
    with tf.Graph().as_default(), tf.Session() as session:
        mask = tf.contrib.linalg.LinearOperatorTriL(tf.ones([3, 3])).to_dense()
        assert session.run(mask).tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
