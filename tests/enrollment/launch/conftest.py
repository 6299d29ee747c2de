from tests.launches import ada, course, programme, signed_in, tool

__all__ = ["ada", "course", "programme", "signed_in", "tool"]
