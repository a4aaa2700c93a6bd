select
    order_id,
    customer_id,
    region,
    status,
    ordered_at,
    cast({{ dbt.date_trunc('day', 'ordered_at') }} as date) as order_date,
    total_amount
from {{ source('bronze', 'orders') }}
