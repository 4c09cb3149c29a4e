"""Which DICOM attributes can tell who a patient is, or where and by whom he or she was examined.

A choice of the direct identifiers among the attributes that the Basic Application Level Confidentiality Profile
(DICOM PS3.15 Annex E, table E.1-1) removes or replaces, with the dates.
"""

from __future__ import annotations

from pydicom.datadict import tag_for_keyword

KEYWORDS = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientBirthName",
    "PatientMotherBirthName",
    "OtherPatientIDs",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "PatientTelecomInformation",
    "PatientReligiousPreference",
    "PatientComments",
    "PatientInsurancePlanCodeSequence",
    "PatientInstitutionResidence",
    "EthnicGroup",
    "Occupation",
    "MilitaryRank",
    "BranchOfService",
    "CountryOfResidence",
    "RegionOfResidence",
    "MedicalRecordLocator",
    "AdditionalPatientHistory",
    "ResponsiblePerson",
    "ResponsibleOrganization",
    "CurrentPatientLocation",
    "AdmissionID",
    "AccessionNumber",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "StationName",
    "DeviceSerialNumber",
    "ReferringPhysicianName",
    "ReferringPhysicianAddress",
    "ReferringPhysicianTelephoneNumbers",
    "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName",
    "PhysiciansOfRecord",
    "PerformingPhysicianName",
    "NameOfPhysiciansReadingStudy",
    "OperatorsName",
    "RequestingPhysician",
    "RequestingService",
    "RequestAttributesSequence",
    "PersonName",
    "VerifyingObserverName",
    "ScheduledPerformingPhysicianName",
    "PerformedLocation",
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "ContentDate",
    "AcquisitionDateTime",
    "PerformedProcedureStepStartDate",
)
IDENTIFYING: dict[int, str] = {tag: keyword for keyword in KEYWORDS if (tag := tag_for_keyword(keyword)) is not None}
"""Tag to keyword."""
