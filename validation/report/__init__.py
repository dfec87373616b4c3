"""Reports of certificates and judgements, for people and for machines."""

from validation.report.contents import Report
from validation.report.document import FORMAT
from validation.report.reading import ReportFileError, load
from validation.report.writing import write

__all__ = ["FORMAT", "Report", "ReportFileError", "load", "write"]
