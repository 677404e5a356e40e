variable "name" {
  description = "Begins the names of what is made here. A second Updraft in this account needs another."
  type        = string
  default     = "updraft"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name takes 3 to 20 of a-z, 0-9 and -, beginning with a letter: it becomes part of roles' names."
  }
}

variable "path" {
  description = "Of the role that Updraft assumes. An operator may have named all roles below it, \"arn:aws:iam::*:role/updraft/*\": with another path, the operator has to add this one by its ARN."
  type        = string
  default     = "/updraft/"

  validation {
    condition     = can(regex("^/([A-Za-z0-9+=,.@_-]+/)*$", var.path))
    error_message = "path begins and ends with a /, as in /updraft/."
  }
}

variable "installation" {
  description = "Name of the Updraft that may act here: the value of the tag updraft:installation on all it makes."
  type        = string
}

variable "updraft_role_arn" {
  description = "Control's role, in Updraft's account: the output `control_role_arn` of modules/updraft."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[^*]+$", var.updraft_role_arn))
    error_message = "updraft_role_arn is the whole ARN of one role: an account or a * would let others in."
  }
}

variable "external_id" {
  description = "Given by Updraft to this tenant and to no other: without it, another tenant who knows the role's name could have it used."
  type        = string

  validation {
    condition     = length(var.external_id) >= 16
    error_message = "external_id is the one that Updraft shows, of 16 characters or more."
  }
}

variable "other_external_ids" {
  description = "Let in beside external_id while it is exchanged for another: the next one that Updraft shows, and none once that has taken its place."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.other_external_ids : length(id) >= 16 && id != var.external_id])
    error_message = "other_external_ids are others than external_id that Updraft shows, of 16 characters or more."
  }
}

variable "regions" {
  description = "Where instances may be started."
  type        = list(string)

  validation {
    condition     = length(var.regions) > 0 && alltrue([for region in var.regions : can(regex("^[a-z]+(-[a-z]+)+-[0-9]$", region))])
    error_message = "regions names at least one region, as in eu-central-1."
  }
}

variable "subnet_arns" {
  description = "Subnets that nodes may be in."
  type        = list(string)

  validation {
    condition     = length(var.subnet_arns) > 0 && alltrue([for arn in var.subnet_arns : can(regex(":subnet/subnet-[0-9a-f]+$", arn))])
    error_message = "subnet_arns names at least one subnet by its whole ARN."
  }
}

variable "vpc_arns" {
  description = "VPCs of the subnets, where Updraft makes a security group for each cluster. Leave it out and name security_group_arns to bring them."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.vpc_arns : can(regex(":vpc/vpc-[0-9a-f]+$", arn))])
    error_message = "vpc_arns are whole ARNs of VPCs."
  }
}

variable "security_group_arns" {
  description = "Security groups that nodes may have, where they are brought."
  type        = list(string)
  default     = []

  validation {
    condition     = length(concat(var.security_group_arns, var.vpc_arns)) > 0 && alltrue([for arn in var.security_group_arns : can(regex(":security-group/sg-[0-9a-f]+$", arn))])
    error_message = "security_group_arns names security groups by their whole ARNs; without any, vpc_arns says where Updraft makes them."
  }
}

variable "instance_types" {
  description = "What nodes may be, with * for any ending: others are refused by AWS, whatever Updraft asks for."
  type        = list(string)
  default     = ["t3.*", "m7i.*", "c7i.*", "r7i.*"]
}

variable "image_parameter_arns" {
  description = "SSM parameters in this account that name images."
  type        = list(string)
  default     = []
}

variable "image_owners" {
  description = "Whose images nodes may be of, beside this account's own and those of Updraft's: account numbers, `amazon`, `aws-marketplace`. 136693071363 is Debian."
  type        = list(string)
  default     = ["amazon", "136693071363"]

  validation {
    condition     = alltrue([for owner in var.image_owners : can(regex("^([0-9]{12}|amazon|aws-marketplace)$", owner))])
    error_message = "image_owners are account numbers of twelve digits, amazon or aws-marketplace: whoever may give nodes their image has all that nodes have."
  }
}

variable "key_pair_arns" {
  description = "Key pairs that nodes may have, for ssh; as a rule none."
  type        = list(string)
  default     = []
}

variable "kms_key_arns" {
  description = "Keys with which nodes' disks may be encrypted, if not AWS's own."
  type        = list(string)
  default     = []
}

variable "nodes" {
  description = "A role and an instance profile for each entry, for the nodes of one cluster or of several that trust each other. `writes` and `reads` are `bucket/prefix/`: logs and DAG versions, and what is only fetched, such as DAGs and environments."
  type = map(object({
    writes = list(string)
    reads  = list(string)
  }))

  validation {
    condition     = alltrue(flatten([for entry in values(var.nodes) : [for place in concat(entry.writes, entry.reads) : can(regex("^[a-z0-9][a-z0-9.-]+/([^*?]+/)?$", place))]]))
    error_message = "nodes: each place is a bucket and a prefix that ends with a /, without wildcards: \"bucket/clusters/7/\"."
  }
}

variable "tags" {
  description = "On everything."
  type        = map(string)
  default     = {}
}
