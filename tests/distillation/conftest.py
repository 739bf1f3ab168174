from tests.students.conftest import tiny_encoder as tiny_encoder
