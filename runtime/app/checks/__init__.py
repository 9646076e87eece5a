"""
The rules of `check_app`, one file a family. Each function takes the `Check` and adds findings to its report.
"""
