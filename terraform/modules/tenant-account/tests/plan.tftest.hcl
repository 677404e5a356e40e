# What a tenant gives away, read from the policies themselves.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  installation        = "updraft"
  updraft_role_arn    = "arn:aws:iam::123456789012:role/updraft-control"
  external_id         = "an-id-of-this-tenant-alone"
  regions             = ["eu-central-1"]
  subnet_arns         = ["arn:aws:ec2:eu-central-1:111122223333:subnet/subnet-0a"]
  security_group_arns = ["arn:aws:ec2:eu-central-1:111122223333:security-group/sg-0a"]
  nodes = {
    reports = { writes = ["acme-updraft/clusters/7/"], reads = ["acme-dags/reports/"] }
  }
}

run "only_updraft_with_this_tenants_id" {
  assert {
    condition     = jsondecode(aws_iam_role.updraft.assume_role_policy).Statement[0].Condition.StringEquals["sts:ExternalId"] == var.external_id
    error_message = "without the id another tenant could have the role used"
  }
  assert {
    condition     = jsondecode(aws_iam_role.updraft.assume_role_policy).Statement[0].Principal.AWS == var.updraft_role_arn
    error_message = "one role may assume it, no account"
  }
  assert {
    condition     = aws_iam_role.updraft.path == "/updraft/"
    error_message = "an operator may name all such roles at once"
  }
}

run "two_ids_while_one_is_exchanged" {
  variables {
    other_external_ids = ["another-of-this-tenant-alone"]
  }
  assert {
    condition     = jsondecode(aws_iam_role.updraft.assume_role_policy).Statement[0].Condition.StringEquals["sts:ExternalId"] == [var.external_id, "another-of-this-tenant-alone"]
    error_message = "without both, nothing could be launched while one takes the other's place"
  }
}

run "another_id_is_another" {
  command = plan
  variables {
    other_external_ids = ["an-id-of-this-tenant-alone"]
  }
  expect_failures = [var.other_external_ids]
}

run "only_its_own_instances" {
  assert {
    condition = alltrue([for statement in jsondecode(aws_iam_role_policy.updraft.policy).Statement :
      try(statement.Condition.StringEquals["aws:ResourceTag/updraft:installation"], "") == "updraft"
    if contains(flatten([statement.Action]), "ec2:TerminateInstances")])
    error_message = "what Updraft did not start, it cannot end"
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.updraft.policy).Statement :
      statement.Condition.StringEquals["aws:ResourceTag/updraft:installation"] if contains(flatten([statement.Action]), "ec2:DeleteVolume")
    ] == ["updraft"]
    error_message = "no disk but its own instances' can be deleted"
  }
  assert {
    condition = alltrue([for statement in jsondecode(aws_iam_role_policy.updraft.policy).Statement :
      contains(["RunInstances", "CreateSecurityGroup"], try(statement.Condition.StringEquals["ec2:CreateAction"], ""))
    if contains(flatten([statement.Action]), "ec2:CreateTags")])
    error_message = "a tag put on another's instance would make it Updraft's"
  }
  assert {
    condition = alltrue([for statement in jsondecode(aws_iam_role_policy.updraft.policy).Statement :
      alltrue([for action in flatten([statement.Action]) : startswith(action, "ec2:Describe")])
    if contains(flatten([statement.Resource]), "*")])
    error_message = "of everything it may only see"
  }
}

run "groups_are_made_where_they_are_not_brought" {
  variables {
    security_group_arns = []
    vpc_arns            = ["arn:aws:ec2:eu-central-1:111122223333:vpc/vpc-0a"]
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.updraft.policy).Statement :
      statement.Condition.StringEquals["aws:ResourceTag/updraft:installation"] if contains(flatten([statement.Action]), "ec2:DeleteSecurityGroup")
    ] == ["updraft"]
    error_message = "a group that Updraft did not make, it can neither open nor delete"
  }
  assert {
    condition = anytrue([for statement in jsondecode(aws_iam_role_policy.updraft.policy).Statement :
      try(one(flatten([statement.Resource])), "") == var.vpc_arns[0] if contains(flatten([statement.Action]), "ec2:CreateSecurityGroup")
    ])
    error_message = "they are made in the named VPC alone"
  }
  assert {
    condition = alltrue([for statement in jsondecode(aws_iam_role_policy.updraft.policy).Statement :
      contains(["RunInstances", "CreateSecurityGroup"], try(statement.Condition.StringEquals["ec2:CreateAction"], ""))
    if contains(flatten([statement.Action]), "ec2:CreateTags")])
    error_message = "a tag put on another's group would make it Updraft's"
  }
}

run "no_groups_are_made_where_they_are_brought" {
  assert {
    condition = !anytrue([for statement in jsondecode(aws_iam_role_policy.updraft.policy).Statement :
    contains(flatten([statement.Action]), "ec2:CreateSecurityGroup")])
    error_message = "what is brought is not made"
  }
}

run "groups_are_brought_or_made" {
  command = plan
  variables {
    security_group_arns = []
  }
  expect_failures = [var.security_group_arns]
}

run "no_image_of_just_anybody" {
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.updraft.policy).Statement :
      statement.Condition.StringEquals["ec2:Owner"] if contains(flatten([statement.Action]), "ec2:RunInstances") && anytrue([for arn in flatten([statement.Resource]) : strcontains(arn, "image/")])
    ] == [["111122223333", "123456789012", "amazon", "136693071363"]]
    error_message = "an image that anybody published would run with the nodes' role"
  }
}

run "an_owner_of_images_is_an_account" {
  command = plan
  variables {
    image_owners = ["*"]
  }
  expect_failures = [var.image_owners]
}

run "disks_with_keys_of_the_tenants" {
  variables {
    kms_key_arns = ["arn:aws:kms:eu-central-1:111122223333:key/0a"]
  }
  assert {
    condition = one([for statement in jsondecode(aws_iam_role_policy.updraft.policy).Statement :
    statement.Resource if contains(flatten([statement.Action]), "kms:CreateGrant")]) == [var.kms_key_arns[0]]
    error_message = "without its grant no instance starts with a disk of that key"
  }
}

run "no_keys_without_being_named" {
  assert {
    condition = !anytrue([for statement in jsondecode(aws_iam_role_policy.updraft.policy).Statement :
    anytrue([for action in flatten([statement.Action]) : startswith(action, "kms:")])])
    error_message = "AWS's own key takes no permission"
  }
}

run "only_nodes_roles_are_passed" {
  assert {
    condition = one([for statement in jsondecode(aws_iam_role_policy.updraft.policy).Statement :
    statement.Resource if contains(flatten([statement.Action]), "iam:PassRole")]) == [aws_iam_role.node["reports"].arn]
    error_message = "an instance with another role would have that role's rights"
  }
}

run "nodes_reach_their_prefixes" {
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.node["reports"].policy).Statement :
      statement.Resource if contains(flatten([statement.Action]), "s3:PutObject")
    ] == [["arn:aws:s3:::acme-updraft/clusters/7/*"]]
    error_message = "they write below their own prefix only"
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.node["reports"].policy).Statement :
      statement.Condition.StringLike["s3:prefix"] if contains(flatten([statement.Action]), "s3:ListBucket")
    ] == ["clusters/7/*", "reports/*"]
    error_message = "nor do they see what others have"
  }
}

run "no_wildcard_for_nodes" {
  command = plan
  variables {
    nodes = { all = { writes = ["acme-updraft/clusters/*/"], reads = [] } }
  }
  expect_failures = [var.nodes]
}

run "no_whole_account" {
  command = plan
  variables {
    updraft_role_arn = "arn:aws:iam::123456789012:root"
  }
  expect_failures = [var.updraft_role_arn]
}
